# Steady in a container. It runs as root inside so that every app gets a user and a file system of its own,
# which takes the options below. Without them the walls are too weak for strangers' code, and Steady starts only
# with `-e STEADY_SANDBOX=single-tenant`: then host only code you trust. `steady doctor` says what is missing.
#
#   docker build -t steady .
#   docker run --init -p 8080:8080 -v steady:/data \
#     --cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add SYS_RESOURCE --cap-add NET_ADMIN --cgroupns=private \
#     --security-opt seccomp=unconfined --security-opt apparmor=unconfined steady
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
