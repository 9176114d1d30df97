/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 *
 * A small viewer of the map: GeoJSON tiles on a canvas, nothing from
 * elsewhere.  Text of places is only ever set as text, never as markup.
 */

"use strict";

(() => {
    const API = "v1/";
    const TILE = 256, ZMIN = 13, ZMAX = 16, ZOOM_MAX = 19;
    const KEEP = 300, REFRESH = 10000;
    const START = { zoom: 15, lat: 37.5559, lon: 126.9723 };

    // the app's own colours; unknown is a colour of its own, not level 5
    const COLORS = ["#06903A", "#85CF3A", "#FFC109", "#FF9202", "#FF5722",
                    "#E52123"];
    const UNKNOWN = "#9A9B9F", PROGRESS = "#FFC109";

    const TEXT = {
        ko: {
            title: "계단정복지도", other: "English",
            levels: ["접근레벨 0 · 장애물 없음", "접근레벨 1", "접근레벨 2",
                     "접근레벨 3", "접근레벨 4", "접근레벨 5"],
            unknown: "정보 없음", progress: "일부 정보만 등록됨",
            places: n => `장소 ${n.toLocaleString("ko")}곳`,
            loading: "불러오는 중…", failed: "지도를 불러오지 못했습니다",
            in: "확대", out: "축소", close: "닫기", raw: "응답 원문",
            map: "지도. 화살표로 이동, +와 −로 확대와 축소, Enter로 " +
                 "가운데 장소 보기",
            noName: "이름 없음", yes: "있음", no: "없음",
            is: "예", isNot: "아니오",
            synthetic: "가상의 장소입니다. 실제로 있는 곳이 아닙니다.",
            registered: "장소 정보", stairInfo: "입구 계단",
            stairHeightLevel: "계단 높이", hasSlope: "경사로",
            isFirstFloor: "1층", buildingRegistered: "건물 정보",
            buildingEntranceStairInfo: "건물 입구 계단",
            buildingHasSlope: "건물 경사로",
            buildingHasElevator: "엘리베이터",
            buildingElevatorStairInfo: "엘리베이터까지 계단",
            NONE: "없음", ONE: "1칸", TWO_TO_FIVE: "2–5칸",
            OVER_SIX: "6칸 이상", HALF_THUMB: "엄지 반 마디",
            THUMB: "엄지 한 마디", OVER_THUMB: "엄지 한 마디 이상",
            credit: "표본: © OpenStreetMap 기여자 (ODbL) 및 가상의 장소",
        },
        en: {
            title: "Stair map", other: "한국어",
            levels: ["Level 0 · no obstacle", "Level 1", "Level 2",
                     "Level 3", "Level 4", "Level 5"],
            unknown: "No information", progress: "Partly registered",
            places: n => `${n.toLocaleString("en")} places`,
            loading: "Loading…", failed: "The map could not be read",
            in: "Zoom in", out: "Zoom out", close: "Close",
            raw: "The answer as it is",
            map: "Map. Arrows move, + and − zoom, Enter opens the place " +
                 "in the middle",
            noName: "Without a name", yes: "yes", no: "no",
            is: "yes", isNot: "no",
            synthetic: "An invented place, for the demonstration only.",
            registered: "Place information", stairInfo: "Stairs at the door",
            stairHeightLevel: "Height of the step", hasSlope: "Ramp",
            isFirstFloor: "Ground floor",
            buildingRegistered: "Building information",
            buildingEntranceStairInfo: "Stairs into the building",
            buildingHasSlope: "Ramp into the building",
            buildingHasElevator: "Elevator",
            buildingElevatorStairInfo: "Stairs to the elevator",
            NONE: "none", ONE: "one", TWO_TO_FIVE: "two to five",
            OVER_SIX: "six or more", HALF_THUMB: "half a thumb",
            THUMB: "a thumb", OVER_THUMB: "more than a thumb",
            credit: "Sample: © OpenStreetMap contributors (ODbL), and " +
                    "invented places",
        },
    };

    const FIELDS = ["registered", "stairInfo", "stairHeightLevel",
                    "hasSlope", "isFirstFloor", "buildingRegistered",
                    "buildingEntranceStairInfo", "buildingHasSlope",
                    "buildingHasElevator", "buildingElevatorStairInfo"];

    const $ = id => document.getElementById(id);
    const canvas = $("map"), paint = canvas.getContext("2d");

    let text = TEXT[navigator.language.startsWith("ko") ? "ko" : "en"];
    let view = fromHash() || { ...START };
    let chosen = null, drawing = false;

    const tiles = new Map();    // "z/x/y" -> { points, at, busy, failed }


    // Web Mercator; x and y are fractions of the world, 0 .. 1

    const toX = lon => lon / 360 + 0.5;
    const toY = lat => 0.5 - Math.asinh(Math.tan(lat * Math.PI / 180))
                             / (2 * Math.PI);
    const toLon = x => (x - 0.5) * 360;
    const toLat = y => Math.atan(Math.sinh((0.5 - y) * 2 * Math.PI))
                       * 180 / Math.PI;

    const scale = () => TILE * 2 ** view.zoom;
    const tileZoom = () => Math.min(ZMAX, Math.max(ZMIN,
                                                   Math.floor(view.zoom)));


    function fromHash() {
        const m = /^#([\d.]+)\/(-?[\d.]+)\/(-?[\d.]+)$/.exec(location.hash);
        return m && clamp({ zoom: +m[1], lat: +m[2], lon: +m[3] });
    }


    function clamp(v) {
        v.zoom = Math.min(ZOOM_MAX, Math.max(ZMIN, v.zoom));
        v.lat = Math.min(85, Math.max(-85, v.lat));
        v.lon = ((v.lon + 180) % 360 + 360) % 360 - 180;
        return v;
    }


    function visible() {
        const z = tileZoom(), n = 2 ** z, s = scale();
        const x = toX(view.lon), y = toY(view.lat);
        const w = canvas.clientWidth / 2 / s, h = canvas.clientHeight / 2 / s;
        const keys = [];

        for (let i = Math.floor((x - w) * n); i <= (x + w) * n; i++) {
            for (let j = Math.max(0, Math.floor((y - h) * n));
                 j <= Math.min(n - 1, (y + h) * n); j++) {
                keys.push(`${z}/${(i % n + n) % n}/${j}`);
            }
        }

        return keys;
    }


    // A tile's points; those of a wider one while it is on its way.

    function points(key) {
        const tile = tiles.get(key);
        if (tile?.points) {
            return tile.points;
        }

        const [z, x, y] = key.split("/").map(Number), n = 2 ** z;

        for (let up = 1; z - up >= ZMIN; up++) {
            const wide = tiles.get(`${z - up}/${x >> up}/${y >> up}`);
            if (wide?.points) {
                return wide.points.filter(p => Math.floor(p.x * n) === x
                                               && Math.floor(p.y * n) === y);
            }
        }

        return [];
    }


    async function load(key) {
        const tile = tiles.get(key) || { points: null };
        tiles.delete(key);
        tiles.set(key, tile);       // the newest is the last

        if (tile.busy || Date.now() - tile.at < REFRESH) {
            return;
        }

        tile.busy = true;

        try {
            const answer = await fetch(`${API}tiles/${key}.json`);
            if (!answer.ok) {
                throw new Error(answer.statusText);
            }
            const body = await answer.json();
            tile.points = body.features.map(f => ({
                id: f.id, p: f.properties,
                x: toX(f.geometry.coordinates[0]),
                y: toY(f.geometry.coordinates[1]),
            }));
            tile.failed = false;
        } catch {
            tile.failed = true;     // what was there stays
        }

        tile.busy = false;
        tile.at = Date.now();
        draw();

        for (const old of tiles.keys()) {
            if (tiles.size <= KEEP) {
                break;
            }
            tiles.delete(old);
        }
    }


    function refresh() {
        if (!document.hidden) {
            visible().forEach(load);
        }
    }


    function draw() {
        if (!drawing) {
            drawing = true;
            requestAnimationFrame(() => { drawing = false; drawNow(); });
        }
    }


    function drawNow() {
        const ratio = window.devicePixelRatio || 1;
        const width = canvas.clientWidth, height = canvas.clientHeight;

        if (canvas.width !== Math.round(width * ratio)
            || canvas.height !== Math.round(height * ratio)) {
            canvas.width = Math.round(width * ratio);
            canvas.height = Math.round(height * ratio);
        }

        paint.setTransform(ratio, 0, 0, ratio, 0, 0);
        paint.clearRect(0, 0, width, height);

        grid(width, height);

        const keys = visible();
        let count = 0, waiting = false, failed = false;
        const dots = [];

        for (const key of keys) {
            const tile = tiles.get(key);
            waiting ||= !tile || tile.points === null && !tile.failed;
            failed ||= tile !== undefined && tile.failed;
            for (const point of points(key)) {
                const at = place(point, width, height);
                if (at.x > -9 && at.x < width + 9
                    && at.y > -9 && at.y < height + 9) {
                    dots.push({ at, point });
                    count++;
                }
            }
        }

        // the unknown below, the known above it
        dots.sort((a, b) => known(a.point) - known(b.point));
        for (const { at, point } of dots) {
            dot(at, point);
        }

        $("status").textContent = failed ? text.failed
                                  : waiting ? text.loading
                                  : text.places(count);
    }


    const known = point => point.id === chosen ? 2 : point.p.level !== null;


    function place(point, width, height) {
        const s = scale();
        let dx = point.x - toX(view.lon);
        dx -= Math.round(dx);
        return { x: width / 2 + dx * s,
                 y: height / 2 + (point.y - toY(view.lat)) * s };
    }


    function dot(at, point) {
        const { level, registered } = point.p;
        const r = Math.min(9, 3 + (view.zoom - ZMIN) * 1.2);

        paint.beginPath();
        paint.arc(at.x, at.y, point.id === chosen ? r + 4 : r, 0, 7);
        paint.fillStyle = level === null ? UNKNOWN : COLORS[level];
        paint.fill();
        paint.lineWidth = level === null && registered ? 2.5 : 1;
        paint.strokeStyle = point.id === chosen ? "#202124"
                            : level === null && registered ? PROGRESS
                            : "#fff";
        paint.stroke();
    }


    function grid(width, height) {
        const n = 2 ** tileZoom(), s = scale(), step = s / n;
        const x0 = width / 2 - toX(view.lon) * s;
        const y0 = height / 2 - toY(view.lat) * s;

        paint.beginPath();
        for (let x = (x0 % step + step) % step; x < width; x += step) {
            paint.moveTo(x, 0);
            paint.lineTo(x, height);
        }
        for (let y = (y0 % step + step) % step; y < height; y += step) {
            paint.moveTo(0, y);
            paint.lineTo(width, y);
        }
        paint.lineWidth = 1;
        paint.strokeStyle = "#e4e4de";
        paint.stroke();
    }


    // moving

    function moved() {
        clamp(view);
        history.replaceState(null, "", `#${view.zoom.toFixed(2)}/` +
                             `${view.lat.toFixed(5)}/${view.lon.toFixed(5)}`);
        draw();
        refresh();
    }


    function shift(dx, dy) {
        view.lon = toLon(toX(view.lon) - dx / scale());
        view.lat = toLat(toY(view.lat) - dy / scale());
    }


    function pan(dx, dy) {
        shift(dx, dy);
        moved();
    }


    function zoom(by, x = canvas.clientWidth / 2,
                  y = canvas.clientHeight / 2) {
        const dx = x - canvas.clientWidth / 2;
        const dy = y - canvas.clientHeight / 2;
        const to = Math.min(ZOOM_MAX, Math.max(ZMIN, view.zoom + by));
        shift(-dx, -dy);
        view.zoom = to;
        shift(dx, dy);
        moved();
    }


    const fingers = new Map();
    let travelled = 0;

    canvas.addEventListener("pointerdown", e => {
        canvas.setPointerCapture(e.pointerId);
        fingers.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
        travelled = fingers.size > 1 ? 99 : 0;
    });

    canvas.addEventListener("pointermove", e => {
        const was = fingers.get(e.pointerId);
        if (!was) {
            return;
        }

        const now = { x: e.offsetX, y: e.offsetY };
        const other = [...fingers].find(([id]) => id !== e.pointerId)?.[1];
        fingers.set(e.pointerId, now);
        travelled += Math.hypot(now.x - was.x, now.y - was.y);

        if (other) {
            const before = Math.hypot(was.x - other.x, was.y - other.y);
            const after = Math.hypot(now.x - other.x, now.y - other.y);
            zoom(Math.log2(after / before) || 0,
                 (now.x + other.x) / 2, (now.y + other.y) / 2);
            return;
        }

        if (travelled > 4) {
            pan(now.x - was.x, now.y - was.y);
        }
    });

    const lift = e => {
        const click = fingers.delete(e.pointerId) && travelled <= 4
                      && e.type === "pointerup";
        if (click) {
            open(e.offsetX, e.offsetY, e.pointerType === "touch" ? 24 : 14);
        }
    };

    canvas.addEventListener("pointerup", lift);
    canvas.addEventListener("pointercancel", lift);

    canvas.addEventListener("wheel", e => {
        e.preventDefault();
        const lines = e.deltaMode === 1 ? 30 : 1;
        zoom(Math.max(-1, Math.min(1, -e.deltaY * lines / 300)),
             e.offsetX, e.offsetY);
    }, { passive: false });

    canvas.addEventListener("keydown", e => {
        const act = {
            ArrowLeft: () => pan(80, 0), ArrowRight: () => pan(-80, 0),
            ArrowUp: () => pan(0, 80), ArrowDown: () => pan(0, -80),
            "+": () => zoom(0.5), "=": () => zoom(0.5),
            "-": () => zoom(-0.5), Escape: close,
            Enter: () => open(canvas.clientWidth / 2,
                              canvas.clientHeight / 2, Infinity),
        }[e.key];

        if (act) {
            e.preventDefault();
            act();
        }
    });


    // one place

    async function open(x, y, reach) {
        let best = null, least = reach;

        for (const key of visible()) {
            for (const point of points(key)) {
                const at = place(point, canvas.clientWidth,
                                 canvas.clientHeight);
                const far = Math.hypot(at.x - x, at.y - y);
                if (far < least) {
                    least = far;
                    best = point;
                }
            }
        }

        if (!best) {
            close();
            return;
        }

        chosen = best.id;
        draw();
        show(best, null);

        try {
            const answer = await fetch(`${API}places/` +
                                       encodeURIComponent(best.id));
            const body = await answer.json();
            if (chosen === best.id) {
                show(best, body);
            }
        } catch {
            // the feature's own fields are shown already
        }
    }


    function close() {
        chosen = null;
        $("place").hidden = true;
        draw();
    }


    function element(tag, content, parent) {
        const e = document.createElement(tag);
        e.textContent = content;
        parent.append(e);
        return e;
    }


    function show({ p }, body) {
        const box = $("place");
        box.replaceChildren();
        box.hidden = false;

        const button = element("button", "×", box);
        button.type = "button";
        button.ariaLabel = text.close;
        button.onclick = close;

        element("h2", p.name || text.noName, box);
        element("div", [p.category, p.address].filter(Boolean).join(" · "),
                box);

        const level = element("p", "", box);
        element("strong", p.level !== null ? text.levels[p.level]
                          : p.registered ? text.progress : text.unknown,
                level);

        const table = element("table", "", box);
        for (const field of FIELDS) {
            const value = p[field], row = element("tr", "", table);
            element("th", text[field], row).scope = "row";
            const is = field.startsWith("is");
            const cell = element("td", value === null ? text.unknown
                                       : value === true
                                         ? is ? text.is : text.yes
                                       : value === false
                                         ? is ? text.isNot : text.no
                                       : text[value] || value, row);
            if (value === null) {
                cell.className = "unknown";
            }
        }

        if (body?.synthetic) {
            element("p", text.synthetic, box);
        }

        if (body) {
            const more = element("details", "", box);
            element("summary", text.raw, more);
            element("pre", JSON.stringify(body, null, 2), more);
        }
    }


    // words

    function speak() {
        document.documentElement.lang = text === TEXT.ko ? "ko" : "en";
        $("title").textContent = text.title;
        $("language").textContent = text.other;
        $("credit").textContent = text.credit;
        $("in").ariaLabel = text.in;
        $("out").ariaLabel = text.out;
        canvas.ariaLabel = text.map;

        const legend = $("legend");
        legend.replaceChildren();

        const line = (fill, ring, words) => {
            const item = element("li", "", legend);
            const mark = element("i", "", item);
            mark.style.background = fill;
            mark.style.border = ring ? `2.5px solid ${ring}` : "none";
            item.append(words);
        };

        COLORS.forEach((color, i) => line(color, null, text.levels[i]));
        line(UNKNOWN, PROGRESS, text.progress);
        line(UNKNOWN, null, text.unknown);
    }


    $("language").onclick = () => {
        text = text === TEXT.ko ? TEXT.en : TEXT.ko;
        speak();
        close();
    };
    $("in").onclick = () => zoom(1);
    $("out").onclick = () => zoom(-1);

    window.addEventListener("resize", moved);
    window.addEventListener("hashchange", () => {
        view = fromHash() || view;
        moved();
    });

    setInterval(refresh, REFRESH);
    speak();
    moved();
})();
