-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

-- The usual way to serve places from Redis with nginx and Lua, for
-- comparison: GEOSEARCH finds the ids, a pipeline of HMGET reads them, and
-- the answer is put together here.  It gives the same features as the
-- module; $geo_ready chooses hashes that hold each Feature ready-made.

local redis = require "nginx.redis"

redis.add_commands("geosearch")

local concat, format, gsub, find = table.concat, string.format, string.gsub,
                                   string.find
local tonumber, ipairs, cos, rad, min, abs = tonumber, ipairs, math.cos,
                                             math.rad, math.min, math.abs

local METRES = 111320 * 1.002       -- of a degree, and a margin

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(c)
    return escapes[c] or format("\\u%04x", c:byte())
end

local function text(s)
    if s == "" then
        return "null"
    end
    if find(s, '[%c"\\]') then
        s = gsub(s, '[%c"\\]', escape)
    end
    return '"' .. s .. '"'
end

local function value(s)
    return s == "" and "null" or s
end

local function fail(what, err)
    ngx.log(ngx.ERR, what, ": ", err)
    return ngx.exit(500)
end

local w, s, e, n = (ngx.var.arg_bbox or ""):match(
                       "^([^,]+),([^,]+),([^,]+),([^,]+)$")
w, s, e, n = tonumber(w), tonumber(s), tonumber(e), tonumber(n)
if not (w and s and e and n) then
    return ngx.exit(400)
end

local r = redis:new()
r:set_timeout(5000)

local ok, err = r:connect("unix:" .. ngx.var.geo_socket)
if not ok then
    return fail("connect", err)
end

-- the box in metres is widest at the latitude nearest to the equator
local lat = (s < 0 and n > 0) and 0 or min(abs(s), abs(n))

local ids, err = r:geosearch("geo", "FROMLONLAT", (w + e) / 2, (s + n) / 2,
                             "BYBOX", (e - w) * cos(rad(lat)) * METRES,
                             (n - s) * METRES, "m")
if not ids then
    return fail("GEOSEARCH", err)
end

local ready = ngx.var.geo_ready == "1"
local out, k = {}, 0

if #ids > 0 then
    r:init_pipeline(#ids)

    for _, id in ipairs(ids) do
        if ready then
            r:hmget("r:" .. id, "lon", "lat", "json")
        else
            r:hmget("p:" .. id, "lon", "lat", "name", "category", "address",
                    "level", "registered", "stair", "height", "slope",
                    "first", "b_registered", "b_entrance", "b_slope",
                    "b_elevator", "b_elevator_stair")
        end
    end

    local rows, err = r:commit_pipeline()
    if not rows then
        return fail("HMGET", err)
    end

    for i, p in ipairs(rows) do
        local lon, lat = tonumber(p[1]), tonumber(p[2])

        if lon >= w and lon <= e and lat >= s and lat <= n then
            k = k + 1

            if ready then
                out[k] = p[3]
            else
                out[k] = concat {
                    '{"type":"Feature","id":', text(ids[i]),
                    ',"geometry":{"type":"Point","coordinates":[', p[1],
                    ",", p[2], ']},"properties":{"name":', text(p[3]),
                    ',"category":', text(p[4]), ',"address":', text(p[5]),
                    ',"level":', value(p[6]), ',"registered":', p[7],
                    ',"stairInfo":', text(p[8]), ',"stairHeightLevel":',
                    text(p[9]), ',"hasSlope":', value(p[10]),
                    ',"isFirstFloor":', value(p[11]),
                    ',"buildingRegistered":', p[12],
                    ',"buildingEntranceStairInfo":', text(p[13]),
                    ',"buildingHasSlope":', value(p[14]),
                    ',"buildingHasElevator":', value(p[15]),
                    ',"buildingElevatorStairInfo":', text(p[16]), "}}" }
            end
        end
    end
end

r:set_keepalive(60000, 16)

ngx.header["Content-Type"] = "application/geo+json"
ngx.print('{"type":"FeatureCollection","numberMatched":', k,
          ',"numberReturned":', k, ',"links":[],"features":[',
          concat(out, ","), "]}")
