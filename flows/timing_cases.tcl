# Case analysis: with each operand value held, the slowest path into each group of endpoints.
#
# Besides what timing_setup.tcl wants, `job` has
#   sdf     delays that stay fixed over the sweep, so that every value is judged by the same arcs
#   groups  list of {name endpoints}
#   quiet   input bits that hold still: list of {bit value}
#   cases   list of {mark {{pin value} …}}
source timing_setup.tcl
read_sdf $job(sdf)
foreach entry $job(quiet) {
  set_case_analysis [lindex $entry 1] [get_ports [lindex $entry 0]]
}
foreach case $job(cases) {
  foreach entry [lindex $case 1] {
    set_case_analysis [lindex $entry 1] [halo_pins [list [lindex $entry 0]]]
  }
  foreach group $job(groups) {
    halo_report "[lindex $case 0] [lindex $group 0]" [halo_pins [lindex $group 1]]
  }
}
puts "@done"
