find_prometheus(){
prometheus_process=$(running_prometheus)
case $prometheus_process in
'')[ -z "$SERVICE" ]||fail "$SERVICE does not run here; start it, or correct service"
fail "Prometheus does not run here; start it or give service"
;;
*[!0-9]*)fail "two Prometheus run here; give service"
esac
prometheus_unit=$(unit_of "$prometheus_process")
[ -n "$prometheus_unit" ]||fail "Prometheus is no systemd service; run it as one"
if is_shell "$prometheus_process";then
fail "the main process of $prometheus_unit is a shell, which our signal would end;" \
"put exec before Prometheus in its command"
fi
api_url=${URL:-$(url_by_its_flags)}
named_config=${CONFIG:-$(config_it_reads "$api_url")}
[ -n "$named_config" ]||fail "Prometheus does not answer on $api_url; give url and configFile"
config_file=$(cd "/proc/$prometheus_process/cwd"&&readlink -f "$named_config")
case $config_file in
*[[:space:]*?\\[]*)fail "$config_file: move it to a path without blanks or *?[\\"
esac
}
running_prometheus(){
if [ -n "$SERVICE" ];then
prometheus_of_service "$SERVICE"
else
processes_named_prometheus
fi
}
prometheus_of_service(){
main_process=$(shows "$1" MainPID|sed 's/^0$//')
prometheus=$main_process
if is_shell "$main_process";then
its_unit=$(unit_of "$main_process")
for process in $(processes_named_prometheus);do
[ "$(unit_of "$process")" != "$its_unit" ]||prometheus=$process
done
fi
echo "$prometheus"
}
processes_named_prometheus(){ cd /proc&&grep -lsx prometheus [0-9]*/comm|cut -d/ -f1;}
is_shell(){
case $(name_of "$1") in
sh|bash|dash|ash|ksh|zsh|busybox)return 0
esac
false
}
name_of(){
if [ -n "$1" ];then
cat "/proc/$1/comm" 2>/dev/null||:
fi
}
url_by_its_flags(){
address=$(prometheus_flag web.listen-address)
address=${address:-:9090}
case ${address%:*} in
''|0.0.0.0|'[::]')address=127.0.0.1:${address##*:}
esac
prefix=$(prometheus_flag web.route-prefix)
if [ -z "$prefix" ];then
prefix=$(prometheus_flag web.external-url)
case $prefix in
*://*/*)prefix=${prefix#*://*/};;
*://*)prefix=
esac
fi
prefix=${prefix#/}
echo "http://$address${prefix:+/${prefix%/}}"
}
prometheus_flag(){
tr '\0' '\n' <"/proc/$prometheus_process/cmdline"|sed -n "s/^--*$1=//p;/^--*$1\$/{n;p;}"|tail -n 1
}
config_it_reads(){
http_get "$1/api/v1/status/flags"|sed -n 's/.*"config.file":"\([^"]*\)".*/\1/p'
}
