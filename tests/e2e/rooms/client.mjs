// The JavaScript client example for rooms. URL and token come from the environment. A browser's WebSocket cannot send
// headers, so the first message has the token.

import WebSocket from 'ws';

const updateRoomUI = (data) => console.log('Room:', JSON.stringify(data));

const ws = new WebSocket(process.env.WALLCAST_WS);

ws.onopen = function() {
    console.log('Connected to WebSocket');

    ws.send(JSON.stringify({
        type: 'authenticate',
        data: { token: process.env.WALLCAST_TOKEN }
    }));

    // Subscribe to room updates
    ws.send(JSON.stringify({
        type: 'subscribe_room',
        data: { room_id: 1 }
    }));
};

ws.onmessage = function(event) {
    const message = JSON.parse(event.data);
    console.log('Received:', JSON.stringify(message));

    if (message.type === 'room_updated') {
        updateRoomUI(message.data);
    }
};

ws.onclose = function() {
    console.log('WebSocket connection closed');
};
