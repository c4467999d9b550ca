package main

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// handler is told that its file can be read or written.
type handler interface {
	ready(events uint32)
}

// loop is epoll with one handler per file descriptor.
type loop struct {
	epoll    int
	spin     int64
	handlers []handler
	events   [1024]syscall.EpollEvent
	pwait2   bool
}

const (
	sysEpollPwait2  = 441 // the same on every architecture; the package syscall lacks it
	edgeTriggered   = 1 << 31
	prSetTimerslack = 29
)

var started = time.Now()

// now gives nanoseconds on the monotonic clock.
func now() int64 { return int64(time.Since(started)) }

func newLoop(spin time.Duration) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	// Paced load wakes when it is due, not up to 50 µs later.
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, 1, 0)
	return &loop{epoll: epoll, spin: int64(spin), pwait2: true}, nil
}

func (l *loop) add(fd int, h handler, events uint32) error {
	for fd >= len(l.handlers) {
		l.handlers = append(l.handlers, make([]handler, len(l.handlers)+1024)...)
	}
	l.handlers[fd] = h
	event := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event)
}

func (l *loop) drop(fd int) {
	l.handlers[fd] = nil
	syscall.Close(fd)
}

// turn handles what is ready, after waiting up to wait nanoseconds for it (forever if negative).
func (l *loop) turn(wait int64) bool {
	n := l.wait(wait)
	for i := range n {
		event := &l.events[i]
		if h := l.handlers[event.Fd]; h != nil {
			h.ready(event.Events)
		}
	}
	return n > 0
}

func (l *loop) wait(wait int64) int {
	first := uintptr(unsafe.Pointer(&l.events[0]))
	size := uintptr(len(l.events))
	if wait == 0 {
		// Raw: the scheduler's part would cost as much as the call.
		n, _, errno := syscall.RawSyscall6(
			syscall.SYS_EPOLL_PWAIT, uintptr(l.epoll), first, size, 0, 0, 0)
		return count(n, errno)
	}
	if wait > 0 && l.pwait2 {
		limit := syscall.NsecToTimespec(wait)
		n, _, errno := syscall.Syscall6(sysEpollPwait2, uintptr(l.epoll), first, size,
			uintptr(unsafe.Pointer(&limit)), 0, 0)
		if errno != syscall.ENOSYS {
			return count(n, errno)
		}
		l.pwait2 = false
	}
	milliseconds := -1
	if wait > 0 {
		milliseconds = int((wait + 999_999) / 1_000_000)
	}
	n, err := syscall.EpollWait(l.epoll, l.events[:], milliseconds)
	if err != nil {
		return 0
	}
	return n
}

func count(n uintptr, errno syscall.Errno) int {
	if errno != 0 {
		return 0
	}
	return int(n)
}

const never = int64(1) << 62

// step is asked after every turn whether a command is done, and when to ask again if nothing comes.
type step func(at int64) (done bool, again int64)

// until turns until the step is done; false when the deadline comes first.
func (l *loop) until(deadline int64, s step) bool {
	idle := now()
	for {
		at := now()
		done, again := s(at)
		if done {
			return true
		}
		if at >= deadline {
			return false
		}
		wait := min(again, deadline) - at
		if at-idle < l.spin {
			wait = 0
		}
		if l.turn(max(wait, 0)) {
			idle = at
		}
	}
}

func after(seconds float64) int64 { return now() + int64(seconds*1e9) }

func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }
