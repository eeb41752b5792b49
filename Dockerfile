# Steady in a container. It runs as root inside so that every app gets a user of its own.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN ./dev release

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/steady /usr/local/bin/steady
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["steady", "serve", "--data", "/data", "--listen", "0.0.0.0:8080"]
CMD ["--domain", "localhost"]
