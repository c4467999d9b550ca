package main

import (
	"fmt"
	"syscall"
)

// listener accepts the connections of a gateway, as its backend.
type listener struct {
	g        *generator
	fd       int
	greeting []byte
}

type serveArguments struct {
	Address  string `json:"address"`
	Greeting string `json:"greeting"`
}

func serve(g *generator, line []byte) (any, error) {
	arguments := serveArguments{Address: "127.0.0.1:0"}
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	if g.listener != nil {
		return nil, fmt.Errorf("it serves already")
	}
	address, err := parseAddress(arguments.Address)
	if err != nil {
		return nil, err
	}
	fd, bound, err := listen(address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	g.listener = &listener{g: g, fd: fd}
	if arguments.Greeting != "" {
		g.listener.greeting = appendFrame(nil, opText, []byte(arguments.Greeting), false)
	}
	return map[string]any{"port": bound.Port()}, g.loop.add(fd, g.listener, syscall.EPOLLIN)
}

func (l *listener) ready(uint32) {
	for {
		fd, _, err := syscall.Accept4(l.fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		noDelay(fd)
		s := &l.g.backends
		c := &conn{loop: l.g.loop, side: s, fd: fd, opening: &welcome{l}}
		if err := l.g.loop.add(fd, c, connEvents); err != nil {
			c.lose(err.Error())
		}
	}
}

// welcome is a backend connection's way to an open one. It joins its side then, so that a probe of
// the port is none.
type welcome struct{ of *listener }

func (w *welcome) connected(*conn) bool { return true }

func (w *welcome) lost(*conn, string) {}

func (w *welcome) bytes(c *conn, data []byte) []byte {
	request, whole := parseHead(data)
	if !whole {
		return data
	}
	key := request.field("Sec-WebSocket-Key")
	if key == nil {
		// A health check, with whatever path.
		c.send([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" +
			"Content-Length: 15\r\n\r\n{\"status\":\"UP\"}"))
		return data[request.size:]
	}
	c.send([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Accept: " + acceptKey(string(key)) + "\r\n\r\n"))
	if w.of.greeting != nil {
		c.send(w.of.greeting)
	}
	c.opening = nil
	s := &w.of.g.backends
	c.number = len(s.conns)
	s.conns = append(s.conns, c)
	return data[request.size:]
}

// echo lets a backend send back what it gets, which is checked as everything is.
func (s *side) echo(text string) {
	s.expectPayloads([]string{text})
	wire := appendFrame(nil, opText, []byte(text), s.masks)
	s.arrived = func(c *conn, n int) {
		for range n - 1 {
			c.unsent = append(c.unsent, wire...)
		}
		c.send(wire)
		c.flush()
	}
}

type relayArguments struct {
	Count  int     `json:"count"`
	Text   string  `json:"text"`
	Frames int     `json:"frames"`
	Limit  float64 `json:"limit"`
}

func down(g *generator, line []byte) (any, error) {
	return g.relay(line, &g.backends, &g.clients)
}

func up(g *generator, line []byte) (any, error) {
	return g.relay(line, &g.clients, &g.backends)
}

// relay lets every connection of one side send, waits until the other side has all, and again.
func (g *generator) relay(line []byte, from, to *side) (any, error) {
	arguments := relayArguments{Count: 1, Frames: 1, Limit: 60}
	if err := read(line, &arguments); err != nil {
		return nil, err
	}
	to.expectPayloads([]string{arguments.Text})
	to.stamps = nil
	for _, s := range []*side{from, to} {
		if s.lost > 0 || len(s.conns) == 0 {
			return nil, s.fit()
		}
	}
	if len(from.conns) != len(to.conns) {
		return nil, fmt.Errorf("%d client connections, but %d at the backend",
			len(g.clients.conns), len(g.backends.conns))
	}
	var data []byte
	for range arguments.Frames {
		data = appendFrame(data, opText, []byte(arguments.Text), from.masks)
	}
	to.settle()
	took := newHistogram()
	m := to.meter()
	deadline := after(arguments.Limit)
	for done := range arguments.Count {
		began := now()
		to.aim(uint64(arguments.Frames))
		for _, c := range from.conns {
			c.send(data)
		}
		if err := g.reach(to, deadline); err != nil {
			return nil, fmt.Errorf("round %d of %d: %w", done+1, arguments.Count, err)
		}
		took.add(now() - began)
	}
	return played{m.read(), arguments.Count, took.percentile(50) / 1e6, took.percentile(99) / 1e6}, nil
}
