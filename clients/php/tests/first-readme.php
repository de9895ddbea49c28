<?php
// The lines of the first README of TURTED, as it printed them. A test includes them where $turted is a client.

$targets = array("users" => "xosofox", "channels"=>array("chat","chatlog"));
$data = array("msg" => "What... is the Airspeed Velocity of an Unladen Swallow?", "from" => "Bridgekeeper");
$turted->emit("MESSAGE:NEW",$targets, $data);
