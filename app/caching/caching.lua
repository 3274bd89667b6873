-- KEYS: the value, and the right to make it (the token of whoever has it). ARGV: op, token, and
--   take: for how many milliseconds the right is given. Answers {word, value}: hit, make or wait.
--   keep: for how many milliseconds the value lives, and the value. It is kept only by whoever has
--     the right still: another may have made a newer one since.
--   leave: nothing more.
-- The right ends by itself, so that a maker that has died keeps others waiting no longer than that.
local op, token = ARGV[1], ARGV[2]

local function leave()
  if redis.call('GET', KEYS[2]) == token then redis.call('DEL', KEYS[2]) end
end

if op == 'take' then
  local value = redis.call('GET', KEYS[1])
  if value then return {'hit', value} end
  local given = redis.call('SET', KEYS[2], token, 'NX', 'PX', ARGV[3])
  return {given and 'make' or 'wait', false}
end
if op == 'keep' and redis.call('GET', KEYS[2]) == token then
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])
end
leave()
return {'left', false}
