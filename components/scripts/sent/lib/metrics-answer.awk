
BEGIN {
  number = "[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+|[iI][nN][fF]([iI][nN][iI][tT][yY])?|[nN][aA][nN])" \
    "([eE][-+]?[0-9]+)?"
  name = "[a-zA-Z_:][a-zA-Z0-9_:]*"
  named = "(" name "[ \t]+|(" name ")?[ \t]*[{].*[}][ \t]*)"
  sample = "^[ \t]*" named number "([ \t]+" number ")?([ \t]+#.*)?[ \t]*$"
  promised_bytes = -1
}

NR > 1 { judge_line(line, 1) }
{ line = $0 }

END {
  match(line, /[.][0-9]+$/)
  code = substr(line, RSTART + 1)
  last_line_has_its_end = RSTART == 1
  if (!last_line_has_its_end) judge_line(substr(line, 1, RSTART - 1), 0)
  print verdict()
}


function judge_line(text, newlines) {
  lines++
  if (lines == 1) first_line = text
  else if (in_body) judge_body_line(text, newlines)
  else judge_header(tolower(text))
}

function judge_header(text) {
  sub(/\r$/, "", text)
  if (text == "") in_body = 1
  if (text ~ /^content-length:[ \t]*[0-9]+$/) {
    sub(/.*:[ \t]*/, "", text)
    promised_bytes = text + 0
  }
  if (text ~ /^transfer-encoding:.*chunked/) chunked = 1
}

function judge_body_line(text, newlines) {
  body_bytes += length(text) + newlines
  if (text ~ sample) samples++
  else if (text !~ /^[ \t]*(#.*)?$/) strange_lines++
  if (text ~ /HTTPS|SSL|TLS/) names_tls = 1
  ends_with_last_chunk = text ~ /^0\r?$/ || (ends_with_last_chunk && text ~ /^\r?$/)
}


function verdict(   status) {
  if (!lines) return verdict_on_silence()
  if (first_line ~ /^\025\003/) return "speaks TLS"
  if (first_line !~ /^HTTP\/1[.][01] [1-5][0-9][0-9]( .*)?\r?$/) {
    return "answers with what is no HTTP"
  }
  status = substr(first_line, 10, 3)
  if (status == 400 && names_tls) return "speaks TLS"
  if (status != 200) return "answers with status " status
  if (!is_whole()) {
    return is_late() ? "does not end its answer within " seconds " s" : "cuts its answer short"
  }
  if (!samples && !strange_lines) return "answers without one sample"
  if (!samples || (strange_lines && !chunked)) return "answers with what is no metrics"
  return "metrics"
}

function verdict_on_silence() {
  if (code == 7) return "takes no connection"
  if (is_late()) return "answers nothing within " seconds " s"
  return "closes the connection without an answer"
}

function is_late() { return code == 124 || code == 143 }

function is_whole() {
  if (promised_bytes >= 0) return in_body && body_bytes >= promised_bytes
  if (chunked) return ends_with_last_chunk
  return in_body && code == 0 && last_line_has_its_end
}
