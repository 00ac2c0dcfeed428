#!/bin/sh
# Make every secret of docker-compose.yml that is not there yet. TLS certificates are yours: secrets/tls/.
set -eu
umask 077
cd "$(dirname "$0")/.."
mkdir -p secrets/tls
random() { head -c 48 /dev/urandom | base64 | tr -d '\n=+/'; }
keep() { [ -s "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"; }
keep secret_key "$(random)"
keep metrics_token "$(random)"
keep postgres_password "$(random)"
keep rabbitmq_password "$(random)"
keep database_url "postgresql://blindpair:$(cat secrets/postgres_password)@postgres:5432/blindpair"
keep broker_url "amqp://blindpair:$(cat secrets/rabbitmq_password)@rabbitmq:5672//"
keep rabbitmq_definitions.json "{\"users\":[{\"name\":\"blindpair\",\"password\":\"$(cat secrets/rabbitmq_password)\",\"tags\":[]}],\"vhosts\":[{\"name\":\"/\"}],\"permissions\":[{\"user\":\"blindpair\",\"vhost\":\"/\",\"configure\":\".*\",\"write\":\".*\",\"read\":\".*\"}]}"
# The containers run as ordinary users and read the files through bind mounts; on the host the folder is closed.
find secrets -type f -exec chmod 644 {} +
chmod 755 secrets/tls
chmod 700 secrets
echo "secrets/ is ready; put fullchain.pem and privkey.pem into secrets/tls/ and run this once more"
