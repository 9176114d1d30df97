#
# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
#
# Where the origin is, and who may purge: the addresses of all nginx hosts.
#

backend origin {
    .host = "127.0.0.1";
    .port = "8080";
    .connect_timeout = 2s;
    .first_byte_timeout = 10s;
    .between_bytes_timeout = 10s;
}

acl scc_purgers {
    "localhost";
}
