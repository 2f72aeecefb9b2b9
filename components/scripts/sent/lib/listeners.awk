
{
  address = $4
  rest = $0
  while (match(rest, /"[^"]*",pid=[0-9]+/)) {
    split(substr(rest, RSTART + 1, RLENGTH - 1), name_and_process, /",pid=/)
    print name_and_process[2], address, name_and_process[1]
    rest = substr(rest, RSTART + RLENGTH)
  }
}
