package main

import (
	"bytes"
	"encoding/json"
	"os"
	"syscall"
)

// input reads commands inside the loop, so that frames are read while no command runs.
type input struct {
	loop   *loop
	unread []byte
}

func newInput(l *loop) (*input, error) {
	in := &input{loop: l}
	if err := syscall.SetNonblock(0, true); err != nil {
		return nil, err
	}
	return in, l.add(0, in, syscall.EPOLLIN)
}

func (in *input) ready(uint32) {
	var chunk [65536]byte
	n, err := syscall.Read(0, chunk[:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if n <= 0 {
		// Whoever drove this process is gone: nothing may be left over.
		os.Exit(0)
	}
	in.unread = append(in.unread, chunk[:n]...)
}

// line waits for a command.
func (in *input) line() []byte {
	for {
		if end := bytes.IndexByte(in.unread, '\n'); end >= 0 {
			line := bytes.Clone(in.unread[:end])
			in.unread = append(in.unread[:0], in.unread[end+1:]...)
			return line
		}
		in.loop.turn(-1)
	}
}

func strict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
