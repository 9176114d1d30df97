-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

-- For wrk: asks for the paths of a file in turn, reports as one JSON line.

local paths, at = {}, 0

function init(args)
    for line in io.lines(args[1]) do
        paths[#paths + 1] = wrk.format("GET", line)
    end
end

function request()
    at = at % #paths + 1
    return paths[at]
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
