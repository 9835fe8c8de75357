# Reads a mapped MAC and constrains it as one element among equals of a larger array.
#
# The caller sets the array `job`:
#   liberty      list of Liberty files            netlist     structural Verilog
#   top          module name                      clock       clock port, or "" for a combinational unit
#   period       clock period, ps                 load        load on each output, fF
#   slew         transition at each input, ps     wire_load   ideal | a model's name
#   arrival      list of {input-port-bit arrival-ps} (missing ones are 0)

foreach file $job(liberty) {
  if {![read_liberty $file]} { puts "Error: $file is not readable as Liberty." }
}
set_cmd_units -time ps -capacitance fF
read_verilog $job(netlist)
link_design $job(top)
# Versions without the command know no wire loads at all: there every net is ideal.
if {[info commands set_wire_load_model] ne ""} {
  if {$job(wire_load) eq "ideal"} { read_liberty no_wires.lib }
  set_wire_load_model -name $job(wire_load)
} elseif {$job(wire_load) ne "ideal"} {
  puts "Error: this OpenSTA has no wire loads, $job(wire_load) cannot be applied."
}

if {$job(clock) ne ""} {
  create_clock -name clock -period $job(period) [get_ports $job(clock)]
} else {
  create_clock -name clock -period $job(period)
}

set data_inputs {}
foreach port [all_inputs] {
  if {[get_property $port full_name] ne $job(clock)} { lappend data_inputs $port }
}
set_input_transition $job(slew) $data_inputs
set_load $job(load) [all_outputs]
set_input_delay 0 -clock clock $data_inputs
set_output_delay 0 -clock clock [all_outputs]
foreach entry $job(arrival) {
  set_input_delay [lindex $entry 1] -clock clock [get_ports [lindex $entry 0]]
}

# Prints the slowest path into `pins` between two marks that name what was asked.
proc halo_report {mark pins} {
  puts "@begin $mark"
  report_checks -path_delay max -to $pins -format full -digits 6
  puts "@end $mark"
}

# Port bits and pins by name; a name holds no wildcard, brackets are part of a port's bit.
proc halo_pins {names} {
  set found {}
  foreach name $names {
    if {[string first / $name] >= 0} {
      lappend found [get_pins $name]
    } else {
      lappend found [get_ports $name]
    }
  }
  return $found
}
