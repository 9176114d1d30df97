-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

-- For wrk, as load.lua: lines are a path, then headers "Name: value", with
-- tabs between.

local requests, at = {}, 0

function init(args)
    for line in io.lines(args[1]) do
        local path, headers = nil, {}
        for field in line:gmatch("[^\t]+") do
            local name, value = field:match("^([%w-]+): (.*)$")
            if path == nil then
                path = field
            else
                headers[name] = value
            end
        end
        requests[#requests + 1] = wrk.format("GET", path, headers)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    io.write(string.format(
        'RESULT {"requests":%d,"microseconds":%d,"bytes":%d,"errors":%d,'
        .. '"p50":%d,"p99":%d}\n',
        summary.requests, summary.duration, summary.bytes,
        summary.errors.connect + summary.errors.read + summary.errors.write
        + summary.errors.status + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
