module websocket-cluster/bench/load

go 1.24
