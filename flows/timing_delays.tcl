# Writes the delays of every arc (under case analysis OpenSTA would write 0 for the dead ones), and reports when each chained output of the element is stable.
source timing_setup.tcl
write_sdf -divider / -digits 6 $job(sdf)
foreach entry $job(outputs) {
  halo_report [lindex $entry 0] [halo_pins [lindex $entry 1]]
}
puts "@done"
