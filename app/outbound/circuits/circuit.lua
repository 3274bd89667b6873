-- The rules of core.py, for a circuit that all workers share. KEYS[1] is its hash.
-- ARGV: the fields of a Report in their order, then the time in milliseconds ('': by this server).
-- Fields of the hash: those of Circuit; c<second> and b<second> for the calls and the bad calls of a
-- second; n<reporter> and u<reporter> for its running slow calls, and until when they count.
-- Returns the fields of a View in their order.
local reporter, epoch, calls, bad, hung = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]),
  tonumber(ARGV[4]), tonumber(ARGV[5])
local why, token, verdict, wants = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]
local lease, permille, now = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local WINDOW, LEAST, FIRST, MOST, CLOSING, HUNG, IDLE = 10, 10, 2000, 60000, 3, 2000, 600

local c, flat = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do c[flat[i]] = flat[i + 1] end
local function number(name) return tonumber(c[name] or 0) end
local function text(name) return c[name] or '' end
local state = c.state or 'closed'
local set, gone, change, granted = {}, {}, '', 0
local function put(name, value)
  c[name] = tostring(value)
  set[name] = c[name]
end
local function drop(name)
  c[name], set[name] = nil, nil
  gone[#gone + 1] = name
end
local function enter(name)
  state = name
  put('state', name)
end

local function open(reason)
  local base = math.min(FIRST * 2 ^ math.min(number('times'), 10), MOST)
  enter('open')
  put('why', reason)
  put('good', 0)
  put('epoch', string.format('%d', number('epoch') + 1))
  put('times', string.format('%d', number('times') + 1))
  put('until', string.format('%d', now + base - math.floor(base * permille / 4000)))
  for name in pairs(c) do
    if string.find(name, '^[cb]%d+$') or string.find(name, '^[nu]:') then drop(name) end
  end
  change = 'open'
end

if state == 'half_open' and token ~= '' and token == text('token') then
  put('token', '')
  put('leased', 0)
  if verdict == 0 then
    open('the call that tried whether it is over failed: ' .. why)
  elseif verdict == 1 then
    put('good', number('good') + 1)
    if number('good') >= CLOSING then
      enter('closed')
      put('times', 0)
      put('good', 0)
      put('until', 0)
      put('why', '')
      change = 'closed'
    end
  end
end

local second = math.floor(now / 1000)
if state == 'closed' and epoch == number('epoch') then
  if calls > 0 then
    put('c' .. second, number('c' .. second) + calls)
    put('b' .. second, number('b' .. second) + bad)
  end
  if hung > 0 then
    put('n:' .. reporter, hung)
    put('u:' .. reporter, string.format('%d', now + HUNG))
  elseif c['n:' .. reporter] then
    drop('n:' .. reporter)
    drop('u:' .. reporter)
  end
  if why ~= '' then put('last', why) end
end

if state == 'closed' then
  local all, failed, old = 0, 0, {}
  for name in pairs(c) do
    local at = string.match(name, '^c(%d+)$')
    local by = string.match(name, '^n:(.*)$')
    if at and tonumber(at) <= second - WINDOW then
      old[#old + 1] = name
      old[#old + 1] = 'b' .. at
    elseif at then
      all, failed = all + number(name), failed + number('b' .. at)
    elseif by and number('u:' .. by) <= now then
      old[#old + 1] = name
      old[#old + 1] = 'u:' .. by
    elseif by then
      all, failed = all + number(name), failed + number(name)
    end
  end
  for _, name in ipairs(old) do drop(name) end
  if all >= LEAST and failed * 2 >= all then
    open(failed .. ' of ' .. all .. ' calls in ' .. WINDOW
         .. ' s failed or were slow, the last one: ' .. text('last'))
  end
end

if wants ~= '' then
  if state == 'open' and now >= number('until') then
    enter('half_open')
    put('good', 0)
    put('token', '')
    put('leased', 0)
  end
  if state == 'half_open' and (text('token') == '' or now >= number('leased')) then
    put('token', wants)
    put('leased', string.format('%d', now + lease))
    granted = 1
  end
end

if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
local fields = {}
for name, value in pairs(set) do
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
if #fields > 0 or #gone > 0 then redis.call('EXPIRE', KEYS[1], IDLE) end
return {state, number('epoch'), number('until'), number('leased'), text('why'), change, granted, now}
