SELECT IF(COUNT(*), 'there', 'new') FROM information_schema.triggers
  WHERE trigger_schema = 'zm' AND trigger_name = 'register_destruction';
CREATE DATABASE IF NOT EXISTS register CHARACTER SET utf8mb4;
USE register
CREATE TABLE IF NOT EXISTS destruction (
  destroyed_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  event BIGINT UNSIGNED NOT NULL,
  camera INT UNSIGNED NOT NULL,
  camera_name VARCHAR(64) NOT NULL,
  recorded_from DATETIME NULL,
  recorded_to DATETIME NULL,
  bytes BIGINT UNSIGNED NULL,
  destroyed_by VARCHAR(128) NOT NULL,
  PRIMARY KEY (destroyed_at, event, camera)
);
CREATE TABLE IF NOT EXISTS given (account VARCHAR(32) PRIMARY KEY, hash VARCHAR(255) NOT NULL);
GRANT SELECT ON register.* TO `www-data`@localhost;
CREATE TRIGGER IF NOT EXISTS zm.register_destruction AFTER DELETE ON zm.Events FOR EACH ROW
  INSERT INTO register.destruction (event, camera, camera_name, recorded_from, recorded_to, bytes, destroyed_by)
  VALUES (OLD.Id, OLD.MonitorId, COALESCE((SELECT Name FROM zm.Monitors WHERE Id = OLD.MonitorId), ''),
    OLD.StartDateTime, OLD.EndDateTime, OLD.DiskSpace, USER());
