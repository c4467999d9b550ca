package main

import (
	"bytes"
	"strconv"
	"syscall"
)

// httpConn is one connection that is kept alive, with one request at a time.
type httpConn struct {
	of        *httpRun
	fd        int
	connected bool
	pending   []byte // a request that waits for the connection
	unsent    []byte
	waiting   bool
	due       int64
	rest      []byte
}

func (c *httpConn) open() error {
	fd, err := dial(c.of.address, 0)
	if err != nil {
		return err
	}
	c.fd, c.connected, c.rest, c.unsent = fd, false, c.rest[:0], nil
	return c.of.g.loop.add(fd, c, connEvents)
}

func (c *httpConn) begin(due int64) {
	h := c.of
	text := h.requests[h.sent%len(h.requests)].stamped()
	h.sent++
	c.due, c.waiting = due, true
	n, errno := send(c.fd, text)
	if errno != 0 {
		n = 0
	}
	if n < len(text) {
		c.unsent = append(c.unsent, text[n:]...)
	}
}

func (c *httpConn) ready(events uint32) {
	if events&syscall.EPOLLOUT != 0 {
		if !c.connected {
			if err := connectError(c.fd); err != nil {
				c.of.failed = err
				return
			}
			c.connected = true
			c.of.free = append(c.of.free, c)
		}
		if len(c.unsent) > 0 {
			if n, errno := send(c.fd, c.unsent); errno == 0 {
				c.unsent = c.unsent[n:]
			}
		}
	}
	for events&^uint32(syscall.EPOLLOUT) != 0 {
		n, errno := recv(c.fd, buffer[:])
		if errno == syscall.EAGAIN {
			return
		}
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			c.closed()
			return
		}
		c.take(buffer[:n])
	}
}

func (c *httpConn) take(data []byte) {
	if len(c.rest) > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	for c.waiting {
		status, size := response(data)
		if size == 0 {
			break
		}
		c.answered(status, data[:size])
		data = data[size:]
	}
	// The two may overlap; append copies as memmove does.
	c.rest = append(c.rest[:0], data...)
}

func (c *httpConn) answered(status int, text []byte) {
	h := c.of
	at := now()
	h.answered++
	h.last = at
	h.took.add(at - c.due)
	h.result.Statuses[strconv.Itoa(status)]++
	if status != h.arguments.Status {
		h.mistake(status, text)
	}
	c.waiting = false
	h.free = append(h.free, c)
}

// closed opens the connection again, as an HTTP client does; a response that it owed is wrong.
func (c *httpConn) closed() {
	h := c.of
	h.g.loop.drop(c.fd)
	c.fd = -1
	if c.waiting {
		h.answered++
		h.last = now()
		h.mistake(0, c.rest)
		c.waiting = false
	} else {
		for i, free := range h.free {
			if free == c {
				h.free = append(h.free[:i], h.free[i+1:]...)
				break
			}
		}
	}
	h.result.Reconnected++
	if err := c.open(); err != nil {
		h.failed = err
	}
}

var lastChunk = []byte("0\r\n\r\n")

// response gives the status and the size of the response at the beginning of data; 0 when it is not
// there as a whole.
func response(data []byte) (status, size int) {
	answer, whole := parseHead(data)
	if !whole {
		return 0, 0
	}
	size = answer.size
	if length := answer.field("Content-Length"); length != nil {
		size += number(length)
	} else if bytes.EqualFold(answer.field("Transfer-Encoding"), []byte("chunked")) {
		// One request at a time: the last chunk ends what there is.
		if !bytes.HasSuffix(data, lastChunk) {
			return 0, 0
		}
		size = len(data)
	}
	if size > len(data) {
		return 0, 0
	}
	return answer.status(), size
}
