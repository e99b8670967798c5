"""What Redis runs to share a pace: the rules of ``shares``, in Lua. Each script uses one key, which expires.

Times are seconds of the clock of Redis, unless the argument ``now`` gives them.
"""

_NOW = """
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""

# KEYS: a hash of the shares by party.
# ARGV: party, held, wanted, most, seconds of the lease, of HOLD and of a rest, now.
# Returns the slots that the party may use.
SLOTS = (
    _NOW
    + """
local key, me = KEYS[1], ARGV[1]
local held, wanted, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local lease, hold, rest, now = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), clock(ARGV[8])
local had, yielding, changed, rests = 0, false, 0, 0
local taken, fewest, alone = 0, most, true
local rows = redis.call('HGETALL', key)
for place = 1, #rows, 2 do
  local cells = {}
  for cell in string.gmatch(rows[place + 1], '%S+') do cells[#cells + 1] = tonumber(cell) end
  if rows[place] == me then
    had, yielding, changed, rests = cells[1], cells[3] == 1, cells[4], cells[5]
  elseif cells[6] <= now then
    redis.call('HDEL', key, rows[place])
  else
    taken = taken + cells[1]
    if cells[2] == 1 then
      alone = false
      fewest = math.min(fewest, cells[1])
    end
  end
end
if held == 0 and wanted == 0 then
  redis.call('HDEL', key, me)
  return 0
end
local goal = math.min(wanted, most)
if yielding and held < had then rests = now + rest end
if held < goal and now >= rests and (alone or fewest >= held) then
  local level = goal
  if not alone then level = math.max(held + 1, fewest) end
  local more = math.min(goal, level, most - taken) - held
  if more > 0 then
    held = held + more
    changed = now
  end
end
local allowed = held
if held > 0 and not alone and (fewest < held - 1 or (fewest < held and now - changed >= hold)) then
  allowed = held - math.max(1, math.floor((held - fewest) / 2))
  changed = now
end
local short, less = 0, 0
if allowed < goal then short = 1 end
if allowed < held then less = 1 end
redis.call('HSET', key, me, string.format('%d %d %d %.6f %.6f %.6f', held, short, less, changed, rests, now + lease))
redis.call('PEXPIRE', key, math.ceil(lease * 1000))
return allowed
"""
)

# KEYS: the next start. ARGV: seconds of the spacing and until the earliest start, now.
# Returns the microseconds until the reserved start.
START = (
    _NOW
    + """
local spacing, now = tonumber(ARGV[1]), clock(ARGV[3])
local start = math.max(now + tonumber(ARGV[2]), tonumber(redis.call('GET', KEYS[1]) or '0'))
local following = start + spacing
redis.call('SET', KEYS[1], string.format('%.6f', following), 'PX', math.ceil((following - now) * 1000) + 1000)
return math.ceil((start - now) * 1000000)
"""
)
