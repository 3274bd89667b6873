-- The rules of core.py, for limits that all workers share. Each key holds a packed Bucket; for
-- `take`, the last key holds the Retries.
-- ARGV[1]: JSON {op, limits, ask or notes, now (null: by this server), process, processes}.
-- take returns {is taken, wait, place, now, number of processes, tops ...}; note returns {}.
local given = cjson.decode(ARGV[1])
local now = given.now
if now == cjson.null then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local SLICE, AHEAD, FULL, NEAR, STEP, SLOW, FAST, LEAST = 250, 10000, 200, 0.95, 0.05, 5000, 250, 0.05
local AGAIN, SETTLE, SEEN, CLOSED, BACK = 1000, 1000, 20, 3600000, 1000
local GRACE, MOST_AHEAD, MOST_LANES = 5000, 120000, 500
local UNUSED, NEWEST = 1000, 0.125
local FORGOTTEN, RETRIES, MOST, AMPLE, PER_SECOND, LIFE = 4, 0.1, 10, 2, 0.5, 600

local function load(key, fresh)
  local packed = redis.call('GET', key)
  return packed and cmsgpack.unpack(packed) or fresh
end
local function save(key, state)
  local ends = math.max(state.closed or 0, state.left_until or 0)
  local life = math.max(LIFE, math.ceil((ends - now) / 1000))
  redis.call('SET', key, cmsgpack.pack(state), 'EX', string.format('%d', life))
end
local function bucket(key)
  local b = load(key, {at = 0, rate = 0, top = 0, ceiling = 0, cut_at = -1, climb_at = 0,
                       quiet = 0, free = 0, free_tokens = 0, closed = 0, left = 0, left_until = 0,
                       made = {}, held = {}})
  b.token_top, b.lanes, b.places = b.token_top or 0, b.lanes or {}, b.places or {}
  b.lasted, b.full_until = b.lasted or 0, b.full_until or 0
  local back = (b.at or 0) - now
  b.at = now
  if back > BACK then
    for _, name in ipairs({'free', 'free_tokens', 'closed', 'left_until', 'climb_at',
                            'full_until'}) do
      b[name] = b[name] - back
    end
    if b.cut_at >= 0 then b.cut_at = math.max(0, b.cut_at - back) end
    for _, each in pairs(b.held) do each[1] = each[1] - back end
    for _, lanes in ipairs({b.lanes, b.places}) do
      for _, each in pairs(lanes) do each[1], each[2] = each[1] - back, each[2] - back end
    end
    b.made = {}
  end
  return b
end
local function slice_of(at) return string.format('%d', math.floor(at / SLICE)) end
local function top_of(b, limit)
  if b.top > 0 then return b.top end
  return limit.requests / limit.seconds
end
local function current(b, limit)
  local top = top_of(b, limit)
  if (0 < b.rate and b.rate < top) or top <= 0 then return b.rate end
  return top
end

local function token_rate(b, limit)
  if b.token_top > 0 then return b.token_top end
  return limit.tokens / limit.seconds
end

-- The rules of lanes.py.
local function others(lanes, user)
  local waiting, all = 0, 0
  for each, times in pairs(lanes) do
    all = all + 1
    if each ~= user and times[2] + GRACE > now then waiting = waiting + 1 end
  end
  return waiting, all
end
local function lane_wait(lanes, user)
  for each, times in pairs(lanes) do
    if math.max(times[1], times[2] + GRACE) <= now then lanes[each] = nil end
  end
  if user == '' or not lanes[user] or others(lanes, user) == 0 then return 0 end
  return math.max(0, lanes[user][1] - now)
end
local function lane_make(lanes, user, spacing)
  local waiting, all = others(lanes, user)
  if user ~= '' and waiting > 0 and (lanes[user] or all < MOST_LANES) then
    local lane = lanes[user] or {0, 0}
    local made = math.max(lane[1], now) + spacing * (waiting + 1)
    lanes[user] = {math.min(made, now + MOST_AHEAD), lane[2]}
  end
end
local function lane_tell(lanes, user, spacing, wait, is_guess)
  local waiting, all = others(lanes, user)
  if user == '' or (not lanes[user] and all >= MOST_LANES) then return wait end
  local lane = lanes[user] or {0, 0}
  local at = now + wait
  if lane[2] > now then
    at = math.max(lane[2] + spacing * (waiting + 1), at)
  elseif is_guess or lane[2] + GRACE <= now then
    local coming = 0
    for _, times in pairs(lanes) do
      if times[2] > now then coming = coming + 1 end
    end
    at = at + spacing * math.max(0, coming - 1)
  end
  at = math.min(at, now + wait + MOST_AHEAD)
  lanes[user] = {lane[1], math.max(lane[2], at)}
  return at - now
end

local function spacing_of(b, limit, ask)
  local rate, tokens = current(b, limit), token_rate(b, limit)
  local found = rate > 0 and 1000 / rate or limit.in_flight > 0 and FULL or 0
  return math.max(found, tokens > 0 and ask.tokens * 1000 / tokens or 0)
end

local function place_spacing_of(b, limit, ask)
  if b.lasted <= 0 then return spacing_of(b, limit, ask) end
  local rate = current(b, limit)
  return math.max(math.min(b.lasted / limit.in_flight, FULL), rate > 0 and 1000 / rate or 0)
end

local function use_of(b, limit, ask)
  local rate, tokens = current(b, limit), token_rate(b, limit)
  local short = tokens > 0 and b.free_tokens > now
  return math.max(short and ask.tokens * 1000 / tokens or 0, rate > 0 and 1000 / rate or 0)
end

local function free_dead(b, limit, ask)
  local held = b.held[ask.owner]
  b.held[ask.owner] = nil
  if held and held[2] > 0 and token_rate(b, limit) > 0 then
    b.free_tokens = b.free_tokens - held[2] * 1000 / token_rate(b, limit)
  end
end

local function interval(b)
  if b.rate < NEAR * b.ceiling then return FAST end
  return b.quiet < 2 and SLOW or AGAIN
end

local function climb(b, limit)
  b.climb_at = math.max(b.climb_at, now - SLOW)
  local top = top_of(b, limit)
  local most = top > 0 and top or FORGOTTEN * b.ceiling
  while b.rate > 0 and b.climb_at <= now do
    if b.rate < NEAR * b.ceiling then
      b.rate = math.min(b.rate + 2 * STEP * b.ceiling, NEAR * b.ceiling)
    else
      b.quiet = b.quiet + 1
      b.rate = b.rate * (1 + STEP * (b.quiet > 2 and 2 or 1))
    end
    b.climb_at = b.climb_at + interval(b)
    if most <= b.rate then b.rate = 0 end
  end
end

local function wait_of(b, limit, ask)
  climb(b, limit)
  local found, rate = math.max(0, b.closed - now), current(b, limit)
  if rate > 0 then found = math.max(found, b.free - now - (limit.burst - 1) * 1000 / rate) end
  if ask.tokens > 0 and token_rate(b, limit) > 0 then
    found = math.max(found, b.free_tokens - now - AHEAD)
  end
  if b.left_until > now and b.left < 1 then found = math.max(found, b.left_until - now) end
  return math.max(found, lane_wait(b.lanes, ask.user))
end

-- Whether there is no place in flight for the user, and whether its call leaves no more places than
-- other users wait.
local function is_full(b, limit, ask)
  local count = 0
  for id, each in pairs(b.held) do
    if each[1] > now then count = count + 1 else b.held[id] = nil end
  end
  if limit.in_flight <= 0 then return false, false end
  if count >= limit.in_flight then b.full_until = now
  elseif now >= b.full_until + UNUSED then b.places = {} end
  local turn = lane_wait(b.places, ask.user)
  local waiting, free = others(b.places, ask.user), limit.in_flight - count
  local is_ahead = turn > b.lasted / limit.in_flight * (waiting + 1)
  return free <= 0 or (is_ahead and free <= waiting), free - 1 <= waiting
end

local function grant(b, limit, ask, wait, is_last)
  lane_make(b.lanes, ask.user, use_of(b, limit, ask))
  if is_last then lane_make(b.places, ask.user, b.lasted / limit.in_flight) end
  local rate, slice = current(b, limit), slice_of(now + wait)
  if rate > 0 then b.free = math.max(b.free, now) + 1000 / rate end
  if ask.tokens > 0 and token_rate(b, limit) > 0 then
    local cost = ask.tokens * 1000 / token_rate(b, limit)
    b.free_tokens = math.min(math.max(b.free_tokens, now) + cost, now + CLOSED)
  end
  if b.left_until > now then b.left = b.left - 1 end
  if limit.in_flight > 0 or ask.tokens > 0 then
    b.held[ask.owner ~= '' and ask.owner or ask.id] = {now + wait + ask.hold_ms, ask.tokens, ask.id}
  end
  b.made[slice] = (b.made[slice] or 0) + 1
  for at in pairs(b.made) do
    if tonumber(at) < math.floor(now / SLICE) - SEEN - 4 then b.made[at] = nil end
  end
end

local function second(b, last)
  local sum = 0
  for back = 0, 3 do sum = sum + (b.made[string.format('%d', last - back)] or 0) end
  return sum
end

local function accepted(b)
  local slice, most = math.floor(now / SLICE), nil
  for last = slice - SEEN, slice - 2 do
    local sum = second(b, last)
    most = math.max(most or sum, sum)
  end
  return most
end

local function refuse(b, limit, note)
  local slice = slice_of(note.at)
  if b.made[slice] then b.made[slice] = b.made[slice] - 1 end
  if note.after_ms > 0 then
    b.closed = math.max(b.closed, now + math.min(note.after_ms, CLOSED))
  elseif b.cut_at < 0 or note.asked > b.cut_at + SETTLE then
    local seen, rate = accepted(b), current(b, limit)
    if top_of(b, limit) <= 0 then
      local sent = math.max(seen, second(b, math.floor(now / SLICE)), 1)
      rate = rate > 0 and math.min(rate, sent) or sent
    end
    b.ceiling = math.max(rate / 2, math.min(seen, rate))
    b.rate = math.max(rate / 2, LEAST)
    b.cut_at, b.quiet = now, 0
    b.climb_at = now + interval(b)
  end
end

local function take()
  local ask, retries = given.ask, load(KEYS[#KEYS], {level = MOST, at = 0})
  retries.level = math.min(MOST, retries.level + math.max(0, now - retries.at) / 1000 * PER_SECOND)
  retries.lanes = retries.lanes or {}
  local back = retries.at - now
  if back > BACK then
    for _, each in pairs(retries.lanes) do each[1], each[2] = each[1] - back, each[2] - back end
  end
  retries.at = now
  local longest, place, full, buckets, last = 0, -1, false, {}, {}
  local lanes, spacing, is_guess = retries.lanes, 1000 / PER_SECOND, false
  local short = ask.is_retry and retries.level < AMPLE
  if short then
    longest = math.max(0, 1 - retries.level) * 1000 / PER_SECOND
    longest = math.max(longest, lane_wait(retries.lanes, ask.user))
  end
  for i, limit in ipairs(given.limits) do
    local b = bucket(KEYS[i])
    buckets[i] = b
    free_dead(b, limit, ask)
    local wait, turns = wait_of(b, limit, ask), b.lanes
    local none_free
    none_free, last[i] = is_full(b, limit, ask)
    if none_free then
      full, turns = true, wait < FULL and b.places or turns
      wait = math.max(wait, FULL)
    end
    if wait > longest then
      longest, place, lanes, spacing = wait, i - 1, turns, spacing_of(b, limit, ask)
      is_guess = turns == b.places
      if is_guess then spacing = place_spacing_of(b, limit, ask) end
    end
  end
  if longest > ask.most_ms then
    longest = lane_tell(lanes, ask.user, spacing, longest, is_guess)
  end
  local taken = not full and longest <= ask.most_ms
  if taken then
    for i, limit in ipairs(given.limits) do
      grant(buckets[i], limit, ask, longest, last[i])
    end
    if short then lane_make(retries.lanes, ask.user, 1000 / PER_SECOND) end
    retries.level = math.min(MOST, retries.level + (ask.is_retry and -1 or RETRIES))
  end
  for i, b in ipairs(buckets) do save(KEYS[i], b) end
  save(KEYS[#KEYS], retries)
  local processes = 0
  if given.process ~= '' then
    redis.call('ZADD', given.processes, now, given.process)
    redis.call('ZREMRANGEBYSCORE', given.processes, '-inf', now - 60000)
    processes = redis.call('ZCARD', given.processes)
  end
  local answer = {taken and 1 or 0, string.format('%.17g', longest), place,
                  string.format('%d', now), processes}
  for i, b in ipairs(buckets) do answer[5 + i] = string.format('%.17g', b.top) end
  return answer
end

local function note()
  for i, limit in ipairs(given.limits) do
    local b, each = bucket(KEYS[i]), given.notes[i]
    if each.limit > 0 then b.top = each.limit end
    if each.token_limit > 0 then b.token_top = each.token_limit end
    if each.remaining >= 0 and each.reset_ms > 0 then
      if b.left_until <= now then
        b.left, b.left_until = each.remaining, now + math.min(each.reset_ms, CLOSED)
      end
      b.left = math.min(b.left, each.remaining)
    end
    if each.is_refused then refuse(b, limit, each) end
    local owner = each.owner ~= '' and each.owner or each.id
    local held = b.held[owner]
    if held and (held[3] or each.id) ~= each.id then held = nil end
    if held then
      local lasted = math.min(math.max(0, now - each.asked), MOST_AHEAD)
      b.lasted = b.lasted + (lasted - b.lasted) * (b.lasted > 0 and NEWEST or 1)
      local count = 0
      for _ in pairs(b.held) do count = count + 1 end
      if count >= limit.in_flight then b.full_until = now end
      b.held[owner] = nil
    end
    local rate = token_rate(b, limit)
    if held and each.tokens >= 0 and rate > 0 then
      local more = b.free_tokens + (each.tokens - held[2]) * 1000 / rate
      b.free_tokens = math.min(more, now + CLOSED)
    end
    if each.tokens_left >= 0 and rate > 0 then
      b.free_tokens = math.max(b.free_tokens, now + AHEAD - each.tokens_left * 1000 / rate)
    end
    save(KEYS[i], b)
  end
  return {}
end

return given.op == 'take' and take() or note()
