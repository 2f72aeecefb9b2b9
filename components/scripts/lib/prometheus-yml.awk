# The editor of prometheus.yml: reads the file and prints it with the block of one stack put in or
# taken out. Every byte that is not of that block stays as it is.
#
# Reads
#   the file, and one letter behind its last byte: awk cannot tell otherwise whether the last line
#   of a file ends with a newline.
#
# Prints, by `action` (-v)
#   removed   the file without the block
#   placed    the file with the block as the first of the list `scrape_configs`
#   twice     the same with the job in it two times, for promtool alone: see scrape-job.sh
#   shown     the block as it stands in the file, or nothing
#
# Needs in its environment, where no backslash is lost as with -v
#   JOB         the name of the job and of the block, metrics-tunnel-STACK
#   ITEMS       what the block holds for the list, not indented (for placed and twice)
#   AS_A_LIST   the remedy for a list that is written in another form
#
# A block stands at the indent of the items of its list:
#
#   # BEGIN metrics-tunnel-STACK
#   - job_name: metrics-tunnel-STACK
#     scrape_interval: 15s
#   # END metrics-tunnel-STACK
#
# It may hold two more things, which others need and which go on to them when it is taken out:
#   - the key `scrape_configs:` behind its first mark, where the file had no such list;
#   - the word `joined` in its first mark, where the line before it was the last of the file and had
#     no newline: it got one for the block, and loses it with the last block.
# A block may be written anew by somebody's editor: with \r at its line ends, or indented further.
#
# Refused, with the reason as the only line and exit code 1
#   - marks that are damaged, or a job of this name without marks: what belongs to the block cannot
#     be told, and what somebody else wrote might go with it;
#   - a list in another form than one item below the other, or one with an anchor; a file that is
#     written as JSON; a merge key, which may bring a list from elsewhere: there the block would
#     have no place, or would change what others refer to;
#   - UTF-16, of which no line could be read.
# What cannot be seen from the lines, as a key with an escaped letter in it, promtool finds:
# scrape-job.sh asks it.

BEGIN {
  job = ENVIRON["JOB"]
  key = "scrape_configs:"
  any_first_mark = "^ *# BEGIN metrics-tunnel-"
  any_last_mark = "^ *# END metrics-tunnel-"
}

{ line[NR] = $0 }

END {
  count = NR
  # Without the letter. Where the file ends with a newline, it was one more line, now an empty one.
  line[count] = substr(line[count], 1, length(line[count]) - 1)
  find_block()
  if (action == "shown") {
    print_block()
    exit
  }
  refuse_utf_16()
  refuse_damaged()
  if (first) take_out()
  if (action != "removed") put_in()
  print_file()
}

function print_file(   i) {
  for (i = 1; i < count; i++) print line[i]
  printf "%s", line[count]
}

function print_block(   i) {
  for (i = first; first && i <= last; i++) print line[i]
}

# Ends at once: END does not run again.
function refuse(reason) {
  print reason
  exit 1
}

# --- The block that is there.

# Sets: first and last (the lines of its marks, 0 where one is missing), first_marks (how many)
function find_block(   i) {
  first = last = first_marks = 0
  for (i = 1; i <= count; i++) {
    if (is_first_mark(line[i])) {
      first_marks++
      if (!first) first = i
    }
    if (is_last_mark(line[i]) && first && !last) last = i
  }
}

function is_first_mark(text) {
  text = trimmed(text)
  return text == "# BEGIN " job || text == "# BEGIN " job " joined"
}

function is_last_mark(text) { return trimmed(text) == "# END " job }

function is_joined(first_mark) { return first_mark ~ / joined[ \t\r]*$/ }

function refuse_damaged(   i) {
  if (first_marks > 1 || (first && !last)) {
    refuse("the marks of " job " are damaged; delete its block")
  }
  for (i = 1; i <= count && !first; i++) {
    if (is_our_job(line[i])) refuse("the job " job " has lost its marks; delete that job")
  }
}

# Whether a line names the job, be it the first of its item or not, and the name in quotes or not.
function is_our_job(text) {
  sub(/^[ \t]*-/, "", text)
  text = trimmed(text)
  gsub(/["']/, "", text)
  return text == "job_name: " job
}

# Takes the block out of line and count. What it holds for others goes on to them.
function take_out(   key_line, joined) {
  key_line = line_of_key()
  joined = is_joined(line[first])
  if (another_block_follows()) {
    if (joined) mark_joined(last + 1)
    if (key_line) give_key_to_next_block(key_line)
  } else if (key_line && items_follow()) {
    # The key stays for them, as the one line of the block that does.
    line[last] = line[key_line]
    last--
  } else if (joined && last + 1 == count && line[count] == "") {
    # With the empty line behind the last newline the line before the block is the end again.
    last = count
  }
  remove_lines(first, last)
}

# The line of the key within the block, or 0.
function line_of_key(   i, found) {
  found = 0
  for (i = first; i <= last; i++) if (trimmed(line[i]) == key) found = i
  return found
}

function another_block_follows() { return last < count && line[last + 1] ~ any_first_mark }

function mark_joined(number) {
  if (!is_joined(line[number])) line[number] = line[number] " joined"
}

# The first mark of the next block moves up by one line, and the key comes in behind it.
function give_key_to_next_block(key_line) {
  line[last] = line[last + 1]
  line[last + 1] = line[key_line]
  last--
}

# Whether the list goes on behind the block.
function items_follow(   i) {
  i = next_that_says_something(last, count + 1)
  return i <= count && is_item(line[i])
}

function remove_lines(from, to,   i, removed) {
  removed = to - from + 1
  for (i = to + 1; i <= count; i++) line[i - removed] = line[i]
  count -= removed
}

# --- The place for a new block.

function put_in(   i, item, items, mark) {
  find_place()
  mark = "# BEGIN " job
  if (place == count && line[count] != "") {
    mark = mark " joined"
    line[++count] = ""
  }
  block_size = 0
  add_to_block(mark)
  if (list_is_new) add_to_block(key)
  items = split(ENVIRON["ITEMS"], item, "\n")
  for (i = 1; i <= items; i++) add_to_block(item[i])
  for (i = 1; i <= items && action == "twice"; i++) add_to_block(item[i])
  add_to_block("# END " job)
  insert_block()
}

# Sets: block and block_size (its lines, one more)
function add_to_block(text) { block[++block_size] = blanks(indent) text }

function insert_block(   i) {
  for (i = count; i > place; i--) line[i + block_size] = line[i]
  for (i = 1; i <= block_size; i++) line[place + i] = block[i]
  count += block_size
}

# Sets: place (the line behind which the block comes, 0 for the top), indent (of its lines),
#       list_is_new (whether it has to bring the key)
function find_place(   margin, list) {
  find_document()
  margin = margin_of_document()
  list = line_of_list(margin)
  if (list) {
    list_is_new = 0
    find_place_in_list(list, margin)
    return
  }
  list_is_new = 1
  indent = margin
  place = document_end - 1
  if (place == count && line[count] == "") place--
}

# Prometheus reads the first document of a file alone.
# Sets: document_start (its first line), document_end (the line behind its last)
function find_document(   i, text) {
  document_start = 0
  for (i = 1; i <= count; i++) {
    text = content(i)
    if (is_document_mark(text)) {
      if (document_start || text ~ /^[.]/) break
      document_start = i + 1
      if (!says_nothing(substr(text, 4))) {
        refuse("it begins on the line of its ---; begin it on the next line")
      }
    } else if (!document_start && !says_nothing(text) && text !~ /^%/) {
      # What begins with % is a directive, which stands before a document.
      document_start = i
    }
  }
  document_end = i
  if (!document_start) document_start = i
}

function is_document_mark(text) { return text ~ /^(---|[.][.][.])([ \t]|$)/ }

# The indent of the document's keys: a whole file may be indented.
function margin_of_document(   i) {
  i = next_that_says_something(document_start - 1, document_end)
  return i < document_end ? indent_of(content(i)) : 0
}

# The line of the key of the list that is there, or 0. Of all keys at the margin none may bring
# another list.
function line_of_list(margin,   i, text, found) {
  found = 0
  for (i = document_start; i < document_end; i++) {
    text = content(i)
    if (says_nothing(text) || indent_of(text) != margin) continue
    text = substr(text, margin + 1)
    if (text ~ /^[{]/) refuse("it is written as JSON; write it as YAML: " ENVIRON["AS_A_LIST"])
    if (text ~ /^["']?<<["']?[ \t]*:/) {
      refuse("it has a merge key (<<) at its margin; write out what it brings")
    }
    if (!found && text ~ /^["']?scrape_configs["']?[ \t]*:([ \t]|$)/) found = i
  }
  return found
}

# Sets: place, indent
function find_place_in_list(list, margin,   i) {
  refuse_other_form(line[list])
  i = next_that_says_something(list, document_end)
  indent = margin
  if (i < document_end && is_item(line[i]) && indent_of(line[i]) >= margin) {
    indent = indent_of(line[i])
  } else if (i < document_end && indent_of(line[i]) > margin) {
    refuse_no_list()
  }
  place = list
  if (list > 1 && line[list - 1] ~ any_first_mark) {
    # The list begins in the block of another stack, which has to stay whole.
    while (place < document_end && line[place] !~ any_last_mark) place++
  }
}

# Refuses a list that does not begin on the line below its key.
function refuse_other_form(key_line,   value) {
  value = key_line
  sub(/^[^:]*:/, "", value)
  if (value ~ /^[ \t]*&/) {
    refuse("scrape_configs has an anchor, which may be used elsewhere; take it away")
  }
  sub(/^[ \t]+!!seq/, "", value)
  if (!says_nothing(value)) refuse_no_list()
}

function refuse_no_list() { refuse("scrape_configs is no block list; " ENVIRON["AS_A_LIST"]) }

function refuse_utf_16() {
  if (line[1] ~ /^(\377\376|\376\377)/) refuse("it is not UTF-8; save it as that")
}

# --- Lines.

# A line without the end that Windows gives it, the first one without a byte order mark.
function content(number,   text) {
  text = line[number]
  sub(/\r$/, "", text)
  if (number == 1) sub(/^\357\273\277/, "", text)
  return text
}

# The next line, before `end`, that is neither empty nor a comment; else `end`.
function next_that_says_something(number, end) {
  number++
  while (number < end && says_nothing(content(number))) number++
  return number
}

function says_nothing(text) { return text ~ /^[ \t]*(#.*)?\r?$/ }

function is_item(text) { return text ~ /^ *-([ \t\r]|$)/ }

function indent_of(text) {
  match(text, /^ */)
  return RLENGTH
}

function trimmed(text) {
  gsub(/^[ \t]+|[ \t\r]+$/, "", text)
  return text
}

function blanks(number,   text) {
  while (length(text) < number) text = text " "
  return text
}
