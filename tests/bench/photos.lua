-- wrk: posts the photos of the folder in PHOTOS, one after the other.
local bodies, at = {}, 0

function init(args)
    for i = 0, 49 do
        local file = assert(io.open(string.format("%s/%02d.jpg", os.getenv("PHOTOS"), i), "rb"))
        bodies[#bodies + 1] = file:read("*a")
        file:close()
    end
end

function request()
    at = at % #bodies + 1
    return wrk.format("POST", "/v1/classify", nil, bodies[at])
end

function done(summary, latency)
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99),
        summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
