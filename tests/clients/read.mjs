// Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
//
// Reads tiles with @mapbox/vector-tile: a JSON array of base64 texts on
// stdin, an array of {layer: [[id, x, y, properties], ...]} on stdout.

import { readFileSync } from "node:fs";
import { VectorTile } from "@mapbox/vector-tile";
import * as pbf from "pbf";

const Reader = pbf.PbfReader ?? pbf.default;

const out = JSON.parse(readFileSync(0, "utf8")).map(text => {
    const tile = new VectorTile(new Reader(Buffer.from(text, "base64")));
    const layers = {};
    for (const [name, layer] of Object.entries(tile.layers)) {
        if (layer.version !== 2 || layer.extent !== 4096) {
            throw new Error(`${name}: ${layer.version}, ${layer.extent}`);
        }
        layers[name] = [];
        for (let i = 0; i < layer.length; i++) {
            const f = layer.feature(i);
            const [[p]] = f.loadGeometry();
            if (f.type !== 1) {
                throw new Error(`${name}: type ${f.type}`);
            }
            layers[name].push([f.id, p.x, p.y, f.properties]);
        }
    }
    return layers;
});

process.stdout.write(JSON.stringify(out));
