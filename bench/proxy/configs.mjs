// How each peer is told to pass everything on: a worker a core, connections to the app kept and reused, no limit on
// requests a connection, TLS 1.3 and HTTP/2 on the second port. `log` is a file, or undefined for no access log.
import { join } from "node:path";

const idle = 600; // seconds; beyond any measurement

export const nginx = ({ plain, tls, app, dir, cert, key, log }, { newer }) => `
daemon off;
pid ${dir}/nginx.pid;
error_log ${dir}/error.log crit;
worker_processes auto;
worker_rlimit_nofile 65536;
events { worker_connections 16384; }
http {
  access_log ${log ? `${log} combined buffer=64k flush=5s` : "off"};
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
  keepalive_timeout ${idle}s;
  keepalive_requests 1000000000;
  upstream app { server 127.0.0.1:${app}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${plain} backlog=4096;
    listen 127.0.0.1:${tls} ssl ${newer ? "" : "http2 "}backlog=4096;
    ${newer ? "http2 on;" : ""}
    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`;

export const haproxy = ({ plain, tls, app, both, log }) => `
global
  maxconn 12000
  no strict-limits
  ${log ? "log stdout format raw local0" : ""}
defaults
  mode http
  ${log ? "log global\n  option httplog" : ""}
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client ${idle}s
  timeout server ${idle}s
  timeout http-keep-alive ${idle}s
frontend all
  bind 127.0.0.1:${plain} backlog 4096
  bind 127.0.0.1:${tls} ssl crt ${both} alpn h2,http/1.1 ssl-min-ver TLSv1.3 backlog 4096
  default_backend app
backend app
  server one 127.0.0.1:${app}
`;

export const caddy = ({ plain, tls, app, cert, key, log }) => {
  const pass = `
  ${log ? `log {\n    output file ${log}\n  }` : ""}
  reverse_proxy 127.0.0.1:${app} {
    transport http {
      keepalive_idle_conns 512
      keepalive_idle_conns_per_host 512
    }
  }`;
  return `
{
  admin off
  auto_https off
  persist_config off
  default_sni hello.localhost
  fallback_sni hello.localhost
  log {
    level ERROR
  }
  servers {
    protocols h1 h2
    timeouts {
      idle ${idle}s
    }
  }
}
http://:${plain} {
  bind 127.0.0.1${pass}
}
https://:${tls} {
  bind 127.0.0.1
  tls ${cert} ${key} {
    protocols tls1.3
  }${pass}
}
`;
};

/** Flags, and the text of the file that they name. */
export const traefik = ({ plain, tls, app, dir, cert, key, log }) => {
  const file = join(dir, "dynamic.yml");
  const router = (entry, more) => ({ rule: "PathPrefix(`/`)", entryPoints: [entry], service: "app", ...more });
  const dynamic = {
    http: {
      routers: { plain: router("plain"), tls: router("tls", { tls: {} }) },
      services: { app: { loadBalancer: { servers: [{ url: `http://127.0.0.1:${app}` }], passHostHeader: true } } },
    },
    tls: {
      stores: { default: { defaultCertificate: { certFile: cert, keyFile: key } } },
      options: { default: { minVersion: "VersionTLS13" } },
    },
  };
  const entry = (name, port) => [
    `--entryPoints.${name}.address=127.0.0.1:${port}`,
    `--entryPoints.${name}.transport.respondingTimeouts.idleTimeout=${idle}s`,
  ];
  const flags = [
    ...entry("plain", plain), ...entry("tls", tls), `--providers.file.filename=${file}`, "--log.level=ERROR",
    "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--serversTransport.maxIdleConnsPerHost=512",
    ...(log ? ["--accessLog=true", `--accessLog.filePath=${log}`, "--accessLog.bufferingSize=1000"] : []),
  ];
  return { file, text: JSON.stringify(dynamic), flags };
};

export const envoy = ({ plain, tls, app, cert, key, log }) => {
  const type = (name) => `type.googleapis.com/envoy.extensions.${name}`;
  const socket = (port) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
  const manager = {
    "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: "all",
    use_remote_address: true,
    common_http_protocol_options: { idle_timeout: `${idle}s` },
    access_log: log ? [{ name: "file", typed_config: { "@type": type("access_loggers.file.v3.FileAccessLog"), path: log } }] : [],
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "app", timeout: "60s" } }] }] },
    http_filters: [{ name: "router", typed_config: { "@type": type("filters.http.router.v3.Router") } }],
  };
  const filters = [{ name: "http", typed_config: manager }];
  const secure = {
    name: "tls",
    typed_config: {
      "@type": type("transport_sockets.tls.v3.DownstreamTlsContext"),
      common_tls_context: {
        alpn_protocols: ["h2", "http/1.1"],
        tls_params: { tls_minimum_protocol_version: "TLSv1_3" },
        tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
      },
    },
  };
  // Its own default of 1024 connections and waiting requests would refuse some of a crowd.
  const thresholds = [{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }];
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: socket(app) } }] }];
  return JSON.stringify({
    static_resources: {
      listeners: [
        { name: "plain", address: socket(plain), filter_chains: [{ filters }] },
        { name: "tls", address: socket(tls), filter_chains: [{ filters, transport_socket: secure }] },
      ],
      clusters: [{ name: "app", type: "STATIC", connect_timeout: "5s", circuit_breakers: { thresholds }, load_assignment: { cluster_name: "app", endpoints } }],
    },
  });
};
