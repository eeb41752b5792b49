declare const self: Worker;

self.onmessage = event => self.postMessage({ sum: event.data[0] + event.data[1] });
