edited_config(){
{ cat&&printf x;}|JOB="$JOB" ITEMS="${2-}" AS_A_LIST="$(as_a_list)" awk -v action="$1" "$PROMETHEUS_YML_AWK"
}
our_block_in(){ edited_config shown <"$1";}
as_a_list(){
echo "write scrape_configs: alone on its line, and each job below it as - job_name: ..."
}
job_in_answer(){ sed 's/\\n/\n/g'|JOB="$JOB" awk "$RUNNING_JOB_AWK";}
