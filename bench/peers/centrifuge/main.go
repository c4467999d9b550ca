// Centrifuge, as a program that embeds it would run it: `centrifuge PORT PAYLOAD`.
//
// Its JSON protocol, every client subscribed by the server to one channel. No compression; write
// buffers from a pool, and read buffers of the size that its documentation gives as an example,
// which save memory; any number of messages in one frame, which makes bursts a fifth faster. A delay
// of writes makes bursts of 100 faster still, and all else slower, so there is none. Its pings are
// off: in a burst they would come in one frame with messages, and the load generator knows them by
// themselves only. All else is its default.
//
// A client orders with {"send":{"data":N}}: N messages to everyone, or 0 to give unused memory back.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/centrifugal/centrifuge"
)

const channel = "all"

func main() {
	payload, _ := json.Marshal(os.Args[2])
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:        &centrifuge.Credentials{},
			Subscriptions:      map[string]centrifuge.SubscribeOptions{channel: {}},
			PingPongConfig:     &centrifuge.PingPongConfig{PingInterval: -1},
			MaxMessagesInFrame: -1,
		}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnMessage(func(event centrifuge.MessageEvent) {
			var count int
			if json.Unmarshal(event.Data, &count) != nil || count == 0 {
				debug.FreeOSMemory()
			}
			for range count {
				if _, err := node.Publish(channel, payload); err != nil {
					log.Fatal(err)
				}
			}
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	http.Handle("/", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		ReadBufferSize:     512,
		UseWriteBufferPool: true,
	}))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
