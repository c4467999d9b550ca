package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

type connectArguments struct {
	Address  string            `json:"address"`
	Path     string            `json:"path"`
	Count    int               `json:"count"`
	First    int               `json:"first"`
	Parallel int               `json:"parallel"`
	Headers  map[string]string `json:"headers"`
	Hello    []string          `json:"hello"`
	Greeting int               `json:"greeting"`
	Limit    float64           `json:"limit"`
}

// opener opens a number of client connections, some of them at once.
type opener struct {
	g         *generator
	arguments connectArguments
	address   netip.AddrPort
	template  string
	hello     []byte
	begun     int
	ended     int
	opened    int
	reasons   map[string]int
	took      *histogram
}

// handshake is one client's way to an open connection.
type handshake struct {
	of       *opener
	began    int64
	number   int
	key      string
	sent     bool
	upgraded bool
	greeted  int
}

func connect(g *generator, line []byte) (any, error) {
	o := &opener{g: g, reasons: map[string]int{}, took: newHistogram()}
	o.arguments = connectArguments{Count: 1, Parallel: 64, Limit: 60, Path: "/"}
	if err := read(line, &o.arguments); err != nil {
		return nil, err
	}
	var err error
	if o.address, err = parseAddress(o.arguments.Address); err != nil {
		return nil, err
	}
	o.prepare()
	began := now()
	last := began
	inTime := g.loop.until(after(o.arguments.Limit), func(int64) (bool, int64) {
		for o.begun < o.arguments.Count && o.begun-o.ended < o.arguments.Parallel {
			o.begin()
		}
		last = now()
		return o.ended == o.arguments.Count, never
	})
	if !inTime {
		o.giveUp()
	}
	return map[string]any{
		"opened":  o.opened,
		"failed":  o.arguments.Count - o.opened,
		"seconds": seconds(last - began),
		"reasons": o.reasons,
		"p50Ms":   o.took.percentile(50) / 1e6,
		"p99Ms":   o.took.percentile(99) / 1e6,
	}, nil
}

func (o *opener) prepare() {
	var text strings.Builder
	fmt.Fprintf(&text, "GET %s HTTP/1.1\r\n", o.arguments.Path)
	names := []string{}
	host := o.arguments.Address
	for name, value := range o.arguments.Headers {
		if strings.EqualFold(name, "host") {
			host = value
		} else {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	fmt.Fprintf(&text, "Host: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", host)
	text.WriteString("Sec-WebSocket-Version: 13\r\n")
	for _, name := range names {
		fmt.Fprintf(&text, "%s: %s\r\n", name, o.arguments.Headers[name])
	}
	o.template = text.String()
	for _, hello := range o.arguments.Hello {
		o.hello = appendFrame(o.hello, opText, []byte(hello), true)
	}
}

func (o *opener) begin() {
	number := o.arguments.First + o.begun
	o.begun++
	h := &handshake{of: o, number: number, began: now()}
	var random [16]byte
	binary.BigEndian.PutUint64(random[:], uint64(h.began))
	binary.BigEndian.PutUint64(random[8:], uint64(number))
	h.key = base64.StdEncoding.EncodeToString(random[:])
	fd, err := dial(o.address, len(o.g.clients.conns))
	if err != nil {
		o.failed(err.Error())
		return
	}
	c := &conn{loop: o.g.loop, side: &o.g.clients, fd: fd, number: number, opening: h}
	o.g.clients.conns = append(o.g.clients.conns, c)
	if err := o.g.loop.add(fd, c, connEvents); err != nil {
		c.lose(err.Error())
	}
}

func (o *opener) failed(why string) {
	o.ended++
	o.reasons[why]++
}

// giveUp ends what is under way when the limit is over.
func (o *opener) giveUp() {
	// A copy: who gives up leaves the list.
	for _, c := range slices.Clone(o.g.clients.conns) {
		if c.opening != nil {
			c.lose("not open in time")
		}
	}
	if left := o.arguments.Count - o.begun; left > 0 {
		o.reasons["not begun in time"] += left
	}
}

func (h *handshake) connected(c *conn) bool {
	if h.sent {
		return true
	}
	if err := connectError(c.fd); err != nil {
		c.lose(err.Error())
		return false
	}
	h.sent = true
	request := h.of.template + "Sec-WebSocket-Key: " + h.key + "\r\n\r\n"
	c.send([]byte(strings.ReplaceAll(request, "{n}", strconv.Itoa(h.number))))
	return true
}

func (h *handshake) bytes(c *conn, data []byte) []byte {
	if !h.upgraded {
		answer, whole := parseHead(data)
		if !whole {
			return data
		}
		if wrong := h.check(answer); wrong != "" {
			c.lose(wrong)
			return nil
		}
		h.upgraded = true
		data = data[answer.size:]
		if len(h.of.hello) > 0 {
			c.send(h.of.hello)
		}
	}
	for h.greeted < h.of.arguments.Greeting {
		found, whole := parseFrame(data)
		if !whole {
			return data
		}
		data = data[found.size:]
		if found.opcode == opText || found.opcode == opBinary {
			// Some servers put several answers in one frame.
			h.greeted += 1 + bytes.Count(bytes.TrimSpace(found.payload), []byte("\n"))
			continue
		}
		if c.handle(found); c.fd < 0 {
			return nil
		}
	}
	c.opening = nil
	h.of.ended++
	h.of.opened++
	h.of.took.add(now() - h.began)
	return data
}

func (h *handshake) check(answer head) string {
	if status := answer.status(); status != 101 {
		return fmt.Sprintf("HTTP %d", status)
	}
	if string(answer.field("Sec-WebSocket-Accept")) != acceptKey(h.key) {
		return "a wrong Sec-WebSocket-Accept"
	}
	return ""
}

// lost takes the connection out of the list: only open ones count.
func (h *handshake) lost(c *conn, why string) {
	conns := h.of.g.clients.conns
	for i := len(conns) - 1; i >= 0; i-- {
		if conns[i] == c {
			h.of.g.clients.conns = append(conns[:i], conns[i+1:]...)
			break
		}
	}
	h.of.failed(why)
}

func closeAll(g *generator, line []byte) (any, error) {
	if err := read(line, &struct{}{}); err != nil {
		return nil, err
	}
	closed := g.clients.closeAll() + g.backends.closeAll()
	if g.listener != nil {
		g.loop.drop(g.listener.fd)
		g.listener = nil
	}
	return map[string]any{"closed": closed}, nil
}

func (s *side) closeAll() int {
	closed := 0
	for _, c := range s.conns {
		if c.fd >= 0 {
			c.drop()
			closed++
		}
	}
	s.conns, s.behind, s.lost = nil, 0, 0
	s.mistakes()
	return closed
}
