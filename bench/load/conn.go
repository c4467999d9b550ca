package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
)

// conn is one WebSocket connection, of a client or of a backend. It has no buffers of its own
// except for what is cut off in the middle.
type conn struct {
	loop   *loop
	side   *side
	fd     int
	number int

	// What a connection does until it is open; nil from then on.
	opening opening

	got    uint64
	target uint64
	next   int    // the want that comes next
	own    []want // see wantsOf
	rest   []byte // the beginning of a frame whose end has not come
	unsent []byte

	times  []int64 // when the frames were sent whose answers are under way
	oldest int
}

// opening is one side's way to an open connection.
type opening interface {
	// connected is told when TCP is; false when it failed.
	connected(c *conn) bool
	// bytes takes what was read and returns what belongs to the open connection.
	bytes(c *conn, data []byte) []byte
	lost(c *conn, why string)
}

const connEvents = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered

// One buffer serves all: a read is parsed before the next one.
var buffer [256 << 10]byte

func (c *conn) ready(events uint32) {
	if events&syscall.EPOLLOUT != 0 {
		if c.opening != nil && !c.opening.connected(c) {
			return
		}
		c.flush()
	}
	if events&^uint32(syscall.EPOLLOUT) != 0 && c.fd >= 0 {
		c.read(events)
	}
}

func (c *conn) read(events uint32) {
	for {
		n, errno := recv(c.fd, buffer[:])
		switch {
		case errno == syscall.EAGAIN:
			return
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			c.lose(errno.Error())
			return
		case n == 0:
			c.lose("it was closed without a close frame")
			return
		}
		c.side.reads++
		c.take(buffer[:n])
		// A short read has emptied the socket (epoll(7)); only its end may still be unread.
		if c.fd < 0 || (n < len(buffer) && events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) == 0) {
			return
		}
	}
}

func (c *conn) take(data []byte) {
	if len(c.rest) > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	if c.opening != nil {
		data = c.opening.bytes(c, data)
	}
	used := 0
	if c.opening == nil && c.fd >= 0 {
		used = c.parse(data)
	}
	// The two may overlap; append copies as memmove does.
	c.rest = append(c.rest[:0], data[used:]...)
}

// parse handles the whole frames of data and tells how many bytes they took.
func (c *conn) parse(data []byte) int {
	s := c.side
	at, same := 0, 0
	for at < len(data) {
		// Nearly every frame is the one that is expected: one comparison, no parsing.
		if len(s.wants) > 0 && s.stamps == nil {
			want := &s.wantsOf(c)[c.next]
			if end := at + len(want.wire); end <= len(data) &&
				bytes.Equal(data[at:end], want.wire) {
				at = end
				same++
				s.bytes += uint64(len(want.payload))
				s.follow(c)
				continue
			}
		}
		found, whole := parseFrame(data[at:])
		if !whole {
			break
		}
		at += found.size
		c.handle(found)
		if c.fd < 0 {
			break
		}
	}
	if same > 0 {
		s.count(c, same)
	}
	return at
}

func (c *conn) handle(f frame) {
	switch {
	case f.masked == c.side.masks:
		c.side.mistake(c, "a frame masked as its sender must", f.payload)
	case f.opcode == opPing:
		c.side.pings++
		c.send(appendFrame(nil, opPong, f.payload, c.side.masks))
	case f.opcode == opPong:
	case f.opcode == opClose:
		c.send(appendFrame(nil, opClose, f.payload, c.side.masks))
		c.lose(closeReason(f.payload))
	case f.opcode == opContinuation || !f.final:
		c.side.mistake(c, "a frame in one piece", f.payload)
		c.side.count(c, 1)
	default:
		c.side.take(c, f.payload)
	}
}

func closeReason(payload []byte) string {
	if len(payload) < 2 {
		return "closed"
	}
	code := binary.BigEndian.Uint16(payload)
	return fmt.Sprintf("closed with %d %s", code, payload[2:])
}

func (c *conn) send(data []byte) {
	if len(c.unsent) == 0 {
		n, errno := send(c.fd, data)
		if errno == 0 && n == len(data) {
			return
		}
		data = data[max(n, 0):]
	}
	c.unsent = append(c.unsent, data...)
}

func (c *conn) flush() {
	if len(c.unsent) == 0 {
		return
	}
	n, errno := send(c.fd, c.unsent)
	if errno == 0 {
		c.unsent = append(c.unsent[:0], c.unsent[n:]...)
	}
}

func (c *conn) lose(why string) {
	c.drop()
	if c.opening != nil {
		c.opening.lost(c, why)
		return
	}
	c.side.lose(fmt.Sprintf("connection %d: %s", c.number, why))
}

func (c *conn) drop() {
	if c.fd >= 0 {
		c.loop.drop(c.fd)
		c.fd = -1
	}
}
