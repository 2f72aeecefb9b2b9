# Reads what `ss -Hltnp` prints, a line for each socket, such as
#   LISTEN 0 4096 127.0.0.1:9100 0.0.0.0:* users:(("node_exporter",pid=412,fd=3))
#
# Prints a line "PROCESS ADDRESS NAME" for each process that has one open.

{
  address = $4
  rest = $0
  while (match(rest, /"[^"]*",pid=[0-9]+/)) {
    # Less the first quote.
    split(substr(rest, RSTART + 1, RLENGTH - 1), name_and_process, /",pid=/)
    print name_and_process[2], address, name_and_process[1]
    rest = substr(rest, RSTART + RLENGTH)
  }
}
