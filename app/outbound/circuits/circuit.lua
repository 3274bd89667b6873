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
local RECENT, FEW, ROW, GAP = 3, 5, 15000, 60000
local LEASE, CALM = 120000, 60000
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
  if state == 'closed' and now >= number('calm_at') then put('times', 0) end
  local base = math.min(FIRST * 2 ^ math.min(number('times'), 10), MOST)
  enter('open')
  put('why', reason)
  put('good', 0)
  put('row', 0)
  put('epoch', string.format('%d', number('epoch') + 1))
  put('times', string.format('%d', number('times') + 1))
  put('until', string.format('%d', now + base - math.floor(base * permille / 4000)))
  for name in pairs(c) do
    if string.find(name, '^[cb]%d+$') or string.find(name, '^[nu]:') then drop(name) end
  end
  change = 'open'
end

local second = math.floor(now / 1000)
-- Let nothing wait for longer than it ever may, as it would if the clock was set back.
for name, most in pairs({['until'] = MOST, leased = LEASE, calm_at = CALM}) do
  if number(name) > now + most then put(name, string.format('%d', now + most)) end
end
if number('row_at') > now and number('row') > 0 then put('row', 0) end
local ahead = {}
for name in pairs(c) do
  local at, by = string.match(name, '^[cb](%d+)$'), string.match(name, '^[nu]:(.*)$')
  if (at and tonumber(at) > second) or (by and number('u:' .. by) > now + HUNG) then
    ahead[#ahead + 1] = name
  end
end
for _, name in ipairs(ahead) do drop(name) end

if state == 'half_open' and token ~= '' and token == text('token') then
  put('token', '')
  put('leased', 0)
  if verdict == 0 then
    open('the call that tried whether it is over failed: ' .. why)
  elseif verdict == 1 then
    put('good', number('good') + 1)
    if number('good') >= CLOSING then
      enter('closed')
      put('calm_at', string.format('%d', now + CALM))
      put('good', 0)
      put('until', 0)
      put('why', '')
      change = 'closed'
    end
  end
end

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
  if calls > bad then
    if number('row') > 0 then put('row', 0) end
  elseif bad > 0 then
    if number('row') == 0 or now - number('row_at') > GAP then
      put('row', 0)
      put('row_since', string.format('%d', now))
    end
    put('row', number('row') + bad)
    put('row_at', string.format('%d', now))
  end
end

if state == 'closed' then
  local all, failed = {[WINDOW] = 0, [RECENT] = 0}, {[WINDOW] = 0, [RECENT] = 0}
  local hanging, old = 0, {}
  for name in pairs(c) do
    local at = string.match(name, '^c(%d+)$')
    local by = string.match(name, '^n:(.*)$')
    if at and tonumber(at) <= second - WINDOW then
      old[#old + 1] = name
      old[#old + 1] = 'b' .. at
    elseif at then
      for seconds in pairs(all) do
        if tonumber(at) > second - seconds then
          all[seconds] = all[seconds] + number(name)
          failed[seconds] = failed[seconds] + number('b' .. at)
        end
      end
    elseif by and number('u:' .. by) <= now then
      old[#old + 1] = name
      old[#old + 1] = 'u:' .. by
    elseif by then
      hanging = hanging + number(name)
    end
  end
  for _, name in ipairs(old) do drop(name) end
  local fault
  for _, seconds in ipairs({WINDOW, RECENT}) do
    local made, bads = all[seconds] + hanging, failed[seconds] + hanging
    if not fault and made >= LEAST and bads * 2 >= made then
      fault = bads .. ' of ' .. made .. ' calls in ' .. seconds .. ' s'
    end
  end
  if not fault and number('row') >= FEW and number('row_at') - number('row_since') >= ROW then
    fault = number('row') .. ' calls in a row'
  end
  if fault then open(fault .. ' failed or were slow, the last one: ' .. text('last')) end
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
    put('leased', string.format('%d', now + math.min(lease, LEASE)))
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
