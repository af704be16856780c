"""MQTT: publishing and listening that outlive the broker. Needs the extra ``streamer[mqtt]``."""
