// The load generator of the benchmarks: one process, one thread that works, epoll, no dependencies.
//
// It reads commands from standard input and answers each on standard output, both as lines of
// JSON; bench/load.py is its driver and tells what each command means. It ends with its input.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// generator is what commands work on.
type generator struct {
	loop     *loop
	clients  side
	backends side
	listener *listener
}

type command func(*generator, []byte) (any, error)

var commands = map[string]command{
	"connect": connect,
	"expect":  expect,
	"round":   round,
	"rounds":  rounds,
	"await":   await,
	"echo":    echo,
	"serve":   serve,
	"down":    down,
	"up":      up,
	"http":    httpLoad,
	"stamps":  stamps,
	"close":   closeAll,
	"status":  status,
}

func main() {
	spin := flag.Duration("spin", 200*time.Microsecond,
		"how long to poll before sleeping: waking a sleeper costs the program that is measured")
	flag.Parse()
	// All work is done by this one; threads of the collector are rarely needed.
	runtime.LockOSThread()
	debug.SetGCPercent(400)
	if err := run(*spin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(spin time.Duration) error {
	loop, err := newLoop(spin)
	if err != nil {
		return err
	}
	input, err := newInput(loop)
	if err != nil {
		return err
	}
	g := &generator{loop: loop, clients: side{masks: true}}
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	for {
		answer, err := g.carryOut(input.line())
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := output.Encode(answer); err != nil {
			return err
		}
	}
}

func (g *generator) carryOut(line []byte) (any, error) {
	var named struct {
		Op string `json:"op"`
	}
	if err := json.Unmarshal(line, &named); err != nil {
		return nil, fmt.Errorf("a command is one line of JSON: %w", err)
	}
	run, known := commands[named.Op]
	if !known {
		return nil, fmt.Errorf("there is no command %q", named.Op)
	}
	return run(g, line)
}

// read binds a command's arguments; a misspelt one is an error.
func read(line []byte, into any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return err
	}
	delete(fields, "op")
	rest, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return strict(rest, into)
}

var errLimit = errors.New("the limit is over")
