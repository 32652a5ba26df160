-- Sends the lines of a file, "path<TAB>body<TAB>token", round and round; each thread its own ones. Ends with the figures as JSON.

local count = 0

function setup(thread)
  thread:set("number", count)
  count = count + 1
end

function init(arguments)
  local file, threads, start = arguments[1], tonumber(arguments[2]), tonumber(arguments[3])
  wrk.headers["Content-Type"] = "application/json"
  lines, position = {}, 0
  local line_number = 0
  for line in io.lines(file) do
    if line_number % threads == number then
      local path, body, token = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
      if token ~= "" then
        wrk.headers["Authorization"] = "Bearer " .. token
      end
      if body == "" then
        lines[#lines + 1] = wrk.format("GET", path)
      else
        lines[#lines + 1] = wrk.format("POST", path, nil, body)
      end
    end
    line_number = line_number + 1
  end
  position = math.floor(start / threads) % #lines
end

function request()
  position = position % #lines + 1
  return lines[position]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p95": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3
  ))
end
