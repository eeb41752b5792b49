# Steady in a container. It runs as root inside so that every app gets a user and a file system of its own,
# which takes mounting. Without the three options below apps run unconfined as that root, and the first lines
# of the log say so: then host only code you trust.
#
#   docker build -t steady .
#   docker run --init -p 8080:8080 -v steady:/data \
#     --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined steady
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
