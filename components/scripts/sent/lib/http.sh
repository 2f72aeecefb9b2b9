http_answer(){
env -i PATH="$PATH" timeout "$2" bash --norc --noprofile -c '
    trap "" PIPE
    url=${1#*//} place=${url%%/*} address=${place%:*}
    exec 3<>/dev/tcp/${address//[][]}/${place##*:} || exit 7
    env printf "GET /%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${url#*/}" "$place" >&3
    cat <&3' - "$1" 2>/dev/null </dev/null
}
http_get(){
http_answer "$1" "${2-6}"|sed -n '
    1{/^HTTP\/1\.[01] 200\( .*\)*\r*$/!q}
    1,/^\r*$/!p'
}
metrics_answer(){
{
code=0
http_answer "$1" "$2"||code=$?
echo ".$code"
}|awk -v seconds="$2" "$METRICS_ANSWER_AWK"
}
metrics_from(){
answer=$(metrics_answer "$1" "$2")
case $answer in
metrics)return 0;;
*within*)hopeless=$unanswered
unanswered=1
;;
speaks*TLS|*40[13])answer="$answer; one that wants a password or TLS is not served";;
*"status 400")answer="$answer; it may answer to names alone that it knows:"
answer="$answer let it know $(called "$1"), or give another listen"
;;
*"status 30"*)answer="$answer; redirects are not followed: give the path where its metrics are"
esac
false
}
called(){
place=${1#*//}
place=${place%%/*}
echo "${place%:*}"
}
