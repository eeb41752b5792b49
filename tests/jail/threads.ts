// As many threads as there can be.
for (let n = 0; n < 500; n++) new Worker("data:text/javascript,setInterval(() => {}, 1e6)");
setInterval(() => {}, 1e6);
