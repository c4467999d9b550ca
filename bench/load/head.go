package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
)

var headEnd = []byte("\r\n\r\n")

// head is the first lines of an HTTP message.
type head struct {
	first []byte
	lines []byte
	size  int
}

func parseHead(data []byte) (head, bool) {
	end := bytes.Index(data, headEnd)
	if end < 0 {
		return head{}, false
	}
	first, lines, _ := bytes.Cut(data[:end], []byte("\r\n"))
	return head{first, lines, end + len(headEnd)}, true
}

// field gives a header's first value; nil when it is not there.
func (h head) field(name string) []byte {
	for rest := h.lines; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) > len(name) && line[len(name)] == ':' &&
			bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
	}
	return nil
}

// status gives the code of a response's first line; 0 when that is none.
func (h head) status() int {
	if len(h.first) < 12 || !bytes.HasPrefix(h.first, []byte("HTTP/1.")) {
		return 0
	}
	return number(h.first[9:12])
}

func number(digits []byte) int {
	n := 0
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0
		}
		n = n*10 + int(digit-'0')
	}
	return n
}

// acceptKey is RFC 6455, section 4.2.2, step 5.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
