// Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
//
// draw.mjs CHROMIUM: opens pages with MapLibre GL in a headless Chromium.
// On stdin a JSON array of {url, png, points: [[id, lng, lat], ...]}; on
// stdout, for each, {faults, features: {layer: [[id, properties], ...]},
// points: [[r, g, b, [ids found there]], ...]}.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const views = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
    executablePath: process.argv[2],
    args: ["--no-sandbox", "--use-angle=swiftshader",
           "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
});
const out = [];

try {
    for (const view of views) {
        const page = await browser.newPage(
            { viewport: { width: 640, height: 640 } });
        const faults = [];
        page.on("pageerror", e => faults.push(String(e)));
        page.on("requestfailed", r => faults.push(
            `${r.url()}: ${r.failure().errorText}`));
        page.on("response", r => {
            if (r.status() >= 400) {
                faults.push(`${r.url()}: ${r.status()}`);
            }
        });
        await page.goto(view.url);
        try {
            await page.waitForFunction("window.ready === true", null,
                                       { timeout: 60000 });
        } catch (e) {
            faults.push(String(e), ...await page.evaluate("window.faults"));
            out.push({ faults });
            continue;
        }
        const seen = await page.evaluate(points => {
            const features = {};
            for (const layer of ["places", "aggregates"]) {
                features[layer] = map.querySourceFeatures(
                    "scc", { sourceLayer: layer }).map(
                        f => [f.id, f.properties]);
            }
            const gl = document.createElement("canvas");
            const canvas = map.getCanvas();
            gl.width = canvas.width;
            gl.height = canvas.height;
            const flat = gl.getContext("2d");
            flat.drawImage(canvas, 0, 0);
            const ratio = canvas.width / 640;
            return {
                faults: window.faults,
                features,
                points: points.map(([, lng, lat]) => {
                    const p = map.project([lng, lat]);
                    const d = flat.getImageData(
                        Math.floor(p.x * ratio), Math.floor(p.y * ratio),
                        1, 1).data;
                    return [d[0], d[1], d[2], map.queryRenderedFeatures(
                        [p.x, p.y]).map(f => f.id)];
                }),
            };
        }, view.points);
        await page.screenshot({ path: view.png });
        seen.faults.push(...faults);
        out.push(seen);
        await page.close();
    }
} finally {
    await browser.close();
}

process.stdout.write(JSON.stringify(out));
