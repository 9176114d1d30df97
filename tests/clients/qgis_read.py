"""QGIS without a window reads the OGC facade; test_qgis.py runs this.

qgis_read.py URL W S E N PICTURE: one line of JSON on stdout.
"""

import json
import sys

from qgis.core import (QgsApplication, QgsFeatureRequest,
                       QgsMapRendererParallelJob, QgsMapSettings,
                       QgsMarkerSymbol, QgsRectangle,
                       QgsSingleSymbolRenderer, QgsVectorLayer)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

WIDTH = HEIGHT = 500


def main():
    url, w, s, e, n, picture = sys.argv[1:]
    box = QgsRectangle(*map(float, (w, s, e, n)))

    app = QgsApplication([], False)
    app.initQgis()

    layer = QgsVectorLayer(f"url='{url}' typename='places' "
                           "restrictToRequestBBOX='1'", "places", "OAPIF")
    out = {"valid": layer.isValid(), "error": layer.error().message()}

    if layer.isValid():
        out["fields"] = [f.name() for f in layer.fields()]
        out["crs"] = layer.crs().authid()
        out["features"] = {
            f["id"]: [f["name"], f.geometry().asPoint().x(),
                      f.geometry().asPoint().y()]
            for f in layer.getFeatures(
                QgsFeatureRequest().setFilterRect(box))}

        layer.setRenderer(QgsSingleSymbolRenderer(
            QgsMarkerSymbol.createSimple({
                "name": "circle", "color": "#e52123", "size": "2",
                "outline_style": "no"})))
        settings = QgsMapSettings()
        settings.setLayers([layer])
        settings.setDestinationCrs(layer.crs())
        settings.setExtent(box)
        settings.setOutputSize(QSize(WIDTH, HEIGHT))
        settings.setBackgroundColor(QColor("white"))
        job = QgsMapRendererParallelJob(settings)
        job.start()
        job.waitForFinished()
        image = job.renderedImage()
        image.save(picture)

        # where each place is drawn, and what is there
        place = settings.mapToPixel()
        out["drawn"] = {}
        for ident, (_, x, y) in out["features"].items():
            p = place.transform(x, y)
            at = int(p.x()), int(p.y())
            if 2 < at[0] < WIDTH - 2 and 2 < at[1] < HEIGHT - 2:
                out["drawn"][ident] = image.pixelColor(*at).name()

    print(json.dumps(out))
    del layer
    app.exitQgis()


if __name__ == "__main__":
    main()
