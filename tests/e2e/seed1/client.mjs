// Seed 1's JavaScript example as it stands there, with a token, a URL from outside, and a function
// that it calls. A browser's WebSocket takes no headers: so the token goes first.

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
