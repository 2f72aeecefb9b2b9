# Finds the Match block whose setting counts in place of ours: sshd takes the first that it reads.
#
# Reads
#   what sshd reads before our drop-in, each line with its file and a blank before it.
#
# Prints which file, setting and block that is, and the remedy; nothing where no block has it.
#
# Needs `keyword` (-v), the setting's.

{
  file = $1
  sub(/^[^ ]*[ \t]+/, "")
  split($0, words, /[ \t=]+/)
}

# A block ends with its file.
tolower(words[1]) == "match" { block_in[file] = $0 }

block_in[file] != "" && tolower(words[1]) == tolower(keyword) {
  print file " comes first, with '" $0 "' in its block '" block_in[file] "'; take that out there"
  exit
}
