-- For wrk: sends the requests of a file, one after the other and over again; they stand apart by a NUL.
-- With a second file it writes each answer into it, status and body; that costs time, and is for checking.
local rows, at, answers = {}, 0, nil

init = function(args)
  local file = assert(io.open(args[1], "rb"))
  for row in file:read("*a"):gmatch("[^%z]+") do
    rows[#rows + 1] = row
  end
  file:close()
  if args[2] then
    answers = assert(io.open(args[2], "wb"))
    answers:setvbuf("full", 65536)
    response = function(status, _, body)
      answers:write(status, " ", (body:gsub("[\r\n]", " ")), "\n")
    end
  end
end

request = function()
  at = at % #rows + 1
  return rows[at]
end

done = function()
  if answers then
    answers:close()
  end
end
